"""The console: pages for the people who run the fleet. They stand on the gateway's services, settings and errors alone.

To add a page:

1. `contexts/<noun>.py`: a frozen dataclass that names its `template`; parts that refresh by themselves are their own.
2. `templates/<noun>.html`: extends base.html, shows `page` (a part: `part`), made of the macros in components/.
3. `views/<noun>.py`: handlers `async def show(visit: Visiting) -> Answer` with `opt=needs(right)`; they read and write
   by `gateway.services`, and end with `visit.page(page)`, `visit.part(part)` or, after a form, `visit.done(url, text)`.
   Its `ROUTES` go into `PAGES` of app.py, its line into navigation.py, a macro's icon into components/icons.html.
4. `tests/admin_ui/test_<noun>.py`. Who may reach it, and that template and dataclass agree, is tested for every page.

views/audit.py is the model of a list, forms.py tells how a form goes. Secrets are shown by the answer to their POST,
never by `done`, and a form that shows values begins as `Form.showing({…}, version=…)`.
"""
