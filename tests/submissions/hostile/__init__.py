"""Hostile submissions, each made from an honest one by one change, and what must become of each.

The honest one is the run of `nearest-clip` on the questions of the sample set, scored by `changes.METRICS`.
"""

from tests.submissions.hostile import claims, forms

_GROUPS = (
    *(forms.files, forms.journals, forms.encodings, forms.syntax, forms.types, forms.bounds),
    *(claims.forged, claims.texts, claims.names, claims.suspicious),
)
HOSTILE = [hostile for group in _GROUPS for hostile in group()]
