class Platfrom:
    """Misspelt."""
