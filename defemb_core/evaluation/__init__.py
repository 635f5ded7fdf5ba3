"""Does a rebuilt table help? Each question is a module."""
