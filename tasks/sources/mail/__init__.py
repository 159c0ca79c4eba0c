"""Mail as items: folders of .eml files, Maildir, mbox and IMAP; MIME becomes text, and attachments become files.

Front door: `reader.read_messages`. Imports: models, errors and folder of sources. Messages are parsed in a process of
their own that has limits, and neither environment nor secrets.
"""
