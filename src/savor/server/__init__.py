"""The web application: an index behind HTTP, and the page that is built upon it.

`savor.server.app.create_app` makes it; importing this package loads nothing.
"""
