"""The HTTP door, knocked at from outside: a real server, a real socket, a real log."""
