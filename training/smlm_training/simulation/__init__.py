"""Films of blinking molecules, with what is true of them: sample, optics, camera."""
