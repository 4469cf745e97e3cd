"""What each page shows: frozen dataclasses, one file per noun. They are the whole contract of a view with its template.

A page names its template in `template`; a test holds the fields of all of them against what the templates use.
"""
