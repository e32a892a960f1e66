"""What the installation doctor finds of two elements, in a word and a sentence each.

Flow: doctor -> FINDINGS -> doctor.  It imports them where what there is to judge has changed, and
lets them go: they take more memory than all the rest of it.
"""

from micropython import const

# As in doctor.py.
_SHARED = const(1)
_ODD = const(2)
_BRIEF = const(4)
_BENT = const(5)
_REVERSED = const(1)
_CROSSED = const(2)
_LIKELY = const(15)
_DRAWS = const(16)
_EXPORTS = const(32)

_BOTH_RIGHT = (0, 0)
_BOTH_REVERSED = (_REVERSED, _REVERSED)
_WORDS = ("right", "ct_reversed", "crossed", "crossed_and_reversed")

# The fewest faults win, and of as many a turned CT, the commonest, comes before wrong references:
# so costs of one fault are 2 and 3, of two faults 4 and 5.
_TURNED_COST = const(2)
_CROSSED_COST = const(3)
_ONE_FAULT = const(3)
_TWO_FAULTS = const(5)

_SAYS = {
    "right": "is wired right",
    "ct_reversed": "has its CT or the CT's two wires turned round, or exports (solar, generator)",
    # Where both elements are so.
    "export": "exports (solar, generator), or has its CT or the CT's two wires turned round",
    "crossed": "pairs its CT with the other line's voltage",
    "crossed_and_reversed": "pairs its CT, turned round, with the other line's voltage",
    "no_voltage": "has no voltage reference, or its line is dead",
    "no_current": "has no current though the other has: its CT is open or its line unused",
    "no_load": "carries too little current to be judged",
    "doubtful": "cannot be judged",
}


def judge(state, bent, fits, voltages):
    """(verdict, alike, checks, text) of each element, as in a Finding, by what is known of it
    before it is judged, or else by what its angle fits."""
    limit = _ONE_FAULT if state[0] or state[1] else _TWO_FAULTS
    likely, possible = _wirings(fits, voltages == _SHARED, limit)
    if not possible:
        # One whose angle fits nothing does not keep the other from being judged alone.
        for k in (0, 1):
            if not fits[k] & _LIKELY:
                state[k] = "doubtful"
                fits[k] = -1
        likely, possible = _wirings(fits, voltages == _SHARED, _ONE_FAULT)
    verdicts = []
    for k in (0, 1):
        verdict, alike = state[k], ()
        if not verdict:
            seen = set([pair[k] for pair in possible])
            first = set([pair[k] for pair in likely])
            verdict = "doubtful"
            if len(first) == 1:
                verdict = _WORDS[first.pop()]
            alike = tuple([w for v, w in enumerate(_WORDS) if v in seen and w != verdict])
        verdicts.append((verdict, alike))
    exports = verdicts[0][0] == verdicts[1][0] == "ct_reversed"
    found = []
    for k, (verdict, alike) in enumerate(verdicts):
        of = bent[k] or voltages
        says = "export" if exports else verdict
        text = _text(k + 1, verdict, alike, of, says)
        found.append((verdict, alike, _checks(verdict, alike, of), text))
    return found


def _wirings(fits, is_shared, limit):
    """(likeliest, all) pairs of verdict bits that the elements' angles allow at a cost of at most
    limit; the likeliest are more than one where nothing tells them apart.
    """
    found = []
    c = _CROSSED
    for crossed1, crossed2 in ((0, c), (c, 0)) if is_shared else ((0, 0), (c, c)):
        for turned1, turned2 in ((0, 0), (1, 0), (0, 1), (1, 1)):
            if crossed1 or crossed2:
                cost = _CROSSED_COST + _TURNED_COST * (turned1 + turned2)
            else:
                # Both turned is most often none: a sunny noon, when both lines export.
                cost = _TURNED_COST if turned1 or turned2 else 0
            pair = crossed1 | turned1, crossed2 | turned2
            if cost <= limit and fits[0] >> pair[0] & 1 and fits[1] >> pair[1] & 1:
                found.append((cost, pair))
    least = min(found)[0] if found else limit
    if not is_shared and least >= _CROSSED_COST:
        # A low power factor alone is never a fault: two elements that draw power may be right
        # under unlikely loads.  So may two that export, where no single fault explains them.
        if fits[0] & fits[1] & _DRAWS:
            found.append((least, _BOTH_RIGHT))
        if least == limit and fits[0] & fits[1] & _EXPORTS:
            found.append((_TWO_FAULTS, _BOTH_REVERSED))
    if found:
        least = min(found)[0]
    return [pair for cost, pair in found if cost == least], [pair for cost, pair in found]


def _checks(verdict, alike, voltages):
    # What else a right element might be is found out at the other one, which is wrong then.
    words = "" if verdict == "right" else " ".join((verdict,) + alike)
    checks = []
    if "reversed" in words:
        checks.append(1)
    if (
        "crossed" in words
        or verdict == "no_voltage"
        or (voltages in (_ODD, _BENT) and verdict == "doubtful")
    ):
        checks.append(2)
    if "reversed" in words or verdict == "no_current":
        checks.append(3)
    return tuple(checks)


def _text(number, verdict, alike, voltages, says):
    start = "Element"
    if voltages == _SHARED:
        start = "With both voltage references on one line, element"
    end = ""
    if alike:
        others = ", or as one that ".join([_SAYS[word] for word in alike])
        end = "; it looks the same as one that " + others
    elif verdict == "doubtful":
        end = ": its current fits no likely load"
        if voltages == _BRIEF:
            end = " before some more cycles have been metered"
        if voltages == _BENT:
            end = ": its voltage is half a wave, or far from a sine"
        if voltages == _ODD:
            end = ": the two voltages are neither 180 nor 120 degrees apart"
    return "{} {} {}{}.".format(start, number, _SAYS[says], end)
