"""The pages of the console, for people with a browser: each reads a request, calls one operation, shows the answer.

How to make a page: a module `routes/NOUN.py`, which is found by being there, and a template `templates/NOUN.html`::

    pages = Pages()

    class Wanted(ListParams):                           # the parameters of the address; unknown ones are refused
        status: str | None = None

    @pages.page("/usage-inputs")                        # GET; Right.LOOK unless it says another
    def usage_inputs(params: Annotated[Wanted, Query()], visit: Visit = VISIT) -> Response:
        page = usage_inputs_page(visit.app, …, limit=params.limit, after=params.after, actor=visit.actor)
        return visit.page("usage_inputs.html", params=params, page=page, pager=visit.pager(page))

    @pages.page("/usage-inputs/{usage_input_id}/unrate", Right.OPERATE)    # what asks before an act; works as a dialog
    def ask(usage_input_id: str, visit: Visit = VISIT) -> Response:
        return visit.confirmation(_unrating(usage_input_id))              # a Confirmation: question, act, back, facts

    @pages.act("/usage-inputs/{usage_input_id}/unrate", Right.OPERATE)     # POST to the same address
    def unrate(usage_input_id: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
        try:
            …                                           # ONE operation; it takes `actor=visit.actor`
        except Refused as refused:                      # 422 with what was typed and the message of the command
            return visit.confirmation(_unrating(usage_input_id), refused=refused, values=form)
        return visit.go(f"/usage-inputs/{usage_input_id}", done="unrated")  # 303; `NOTICES["unrated"]` says it there

A template begins ``{% extends "base.html" %}`` and fills the blocks ``title`` and ``main`` with the macros of
`templates/macros.html`, which it knows as ``ui`` without an import: ``ui.head``, ``ui.table`` and ``ui.cell`` (blocks
on a phone: the cell names its head again), ``ui.badge(run)``, ``ui.state``, ``ui.pager``, ``ui.filter_bar``,
``ui.text/area/select/checkbox``, ``ui.refusal``, ``ui.act`` (a link to an act, disabled with the role it needs),
``ui.empty``, ``ui.facts``, ``ui.live``. Filters: ``time``, ``utc``, ``day``, ``duration``, ``money``, ``number``,
``plural`` (`formats`). Every form of POST holds ``{{ ui.csrf() }}``. Raised refusals become pages by themselves. What
follows a run stands in ``{% block region_NAME %}{% call ui.live("region_NAME", alive) %}…``: the script asks for the
block alone while `alive`, and is answered 204 while nothing is new; give rows and buttons within ids.
No ``style=``, no inline script, no ``|safe``: the Content-Security-Policy and the reader would suffer.

To look at pages: `python -m tests.console.browser.look /runs …` makes screenshots of the sample company's.
"""
