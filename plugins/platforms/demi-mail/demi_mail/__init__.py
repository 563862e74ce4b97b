"""Puts mails into a folder, from which a mail server takes them."""
