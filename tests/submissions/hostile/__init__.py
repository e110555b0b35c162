"""Hostile submissions, each made from an honest one by one change, and what must become of each.

The honest one is the run of `nearest-clip` on the questions of the sample set, scored by `changes.METRICS`,
or that of `actions.honest_actions`.
"""

from tests.submissions.hostile import actions, claims, forms

_GROUPS = (
    *(forms.files, forms.journals, forms.encodings, forms.syntax, forms.types, forms.bounds),
    *(claims.forged, claims.texts, claims.names, claims.baselines, claims.suspicious),
    *(actions.forged_actions, actions.files_of_actions, actions.suspicious_actions),
)
HOSTILE = [hostile for group in _GROUPS for hostile in group()]
