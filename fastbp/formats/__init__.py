"""The file formats that networks are saved in."""
