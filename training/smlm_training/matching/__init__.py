"""What a film tells of the microscope and the sample that made it, one question a module."""
