"""From files to rows: which files a list is made of, what they really are, and the rows in them."""
