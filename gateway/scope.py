"""What the ASGI scope of a request says to whoever serves its connection, who need know nothing else of a gateway."""

FILE_KEY = "shoal.file"
"""In the scope of a request whose body or answer is a file: it passes through piece by piece, and may take long."""
