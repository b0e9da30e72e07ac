"""The mails that runs send: composing, recording and delivering them."""
