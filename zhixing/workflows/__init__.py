"""What a person asks for, from start to end."""
