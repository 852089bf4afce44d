"""Tables of molecules on disk: formats, order, filters, links and images."""
