"""What a request asks of the tools beside describing, outlining and classifying: align, find alike, compare with
what is normal, enlarge, make. Rules over one clause; `inference.intents` asks here before its own rules."""

import re
from typing import Any

Call = tuple[str, dict[str, Any]]

IMAGES = r"(?:images?|pictures?|films?|scans?|x-?rays?|radiographs?|photos?|slices?|volumes?|cases|studies)"
POINTS_AT = rf"(?:img\d+|(?:this|these|the|both|my|two) {IMAGES}|both|them|it|one another|each other)"
REGISTER = re.compile(
    rf"\b(?:align|co-?register|register|superimpose|overlay|warp|lay)\b[^.?!]{{0,60}}\b{POINTS_AT}\b|"
    r"\b(?:align|register|co-?register)\s*$|\bregistration of (?:img\d+|these|both|the two)\b",
    re.I,
)
ONTO = re.compile(r"\bimg\d+\b[^.?!]{0,30}\b(?:to|onto|on|with|over)\b[^.?!]{0,20}\bimg\d+", re.I)
AFFINE = re.compile(r"\baffine\b|\bscal(?:e|ed|ing)\b", re.I)
BENT = re.compile(r"\bb-?spline|deformabl[ey]|non-?rigid|elastic\w*|\bbent|\bwarp", re.I)
CORRELATION = re.compile(r"\bcorrelation\b", re.I)
SIMILAR = re.compile(
    rf"\b(?:similar|alike|look(?:s|ing)? like|resembl\w+|nearest|closest)\b[^.?!]{{0,60}}\b{IMAGES}\b|"
    rf"\b{IMAGES}\b[^.?!]{{0,40}}\b(?:similar to|like|that resemble|resembling|nearest to|closest to)\b",
    re.I,
)
BY_TEXT = re.compile(
    rf"\b(?:find|search|show|list|retrieve|which)\b(?: me)?(?: all| any| for)?(?: of)? (?:my |our )?{IMAGES}"
    r"(?: of mine)? (?:of|with|showing|that show|show|labelled|for) (?P<words>[^.?!]{3,200})",
    re.I,
)
MINE = re.compile(r"\b(?:my|our|own|mine|uploaded|among)\b", re.I)
ANOMALY = re.compile(
    r"\banomal(?:y|ies|ous)\b|\boutliers?\b|\bunusual\b|\bhow (?:ab)?normal\b|"
    r"\b(?:compare|differ\w*|deviat\w+|depart\w*)\b[^.?!]{0,50}\b(?:normal (?:set|images?|ones)|my normals?)\b",
    re.I,
)
SET_NAMED = re.compile(r"\b(?:the )?set [\"“']?(?P<name>[^\"”'.?!]{1,60})[\"”']?", re.I)
ENLARGE = re.compile(
    r"\b(?:enlarg\w+|upscal\w+|up-?sampl\w+|super-?resol\w+|magnif\w+|(?:raise|increase|improve)\b[^.?!]{0,20}"
    r"\bresolution|(?:twice|four times) as large|[24]\s?x larger)\b",
    re.I,
)
FOUR = re.compile(r"\b(?:4\s?x|x\s?4|four|fourfold|4 times)\b", re.I)
TWO = rf"(?:{POINTS_AT}|these two|the two)"
COMPARE = re.compile(
    rf"\b(?:compare|(?:difference|differs?|changed?)\b[^.?!]{{0,20}}\bbetween)\b[^.?!]{{0,60}}?{TWO}|"
    rf"{TWO}[^.?!]{{0,40}}\bside by side\b|\b(?:how|what) do(?:es)? {TWO}[^.?!]{{0,60}}\bdiffer",
    re.I,
)
OPINIONS = re.compile(
    r"\b(?:second|other|another|further|more) opinions?\b"
    r"(?:[\s,:]*(?:on|about|as to|please|of)?\s+(?P<question>.{3,480}))?",
    re.I | re.S,
)
# "what do other models think?": the question is another's, or stands in the clause
ALL_MODELS = re.compile(
    r"\b(?:ask|put (?:it|this|that) to|query)\b[^.?!]{0,20}\b(?:all|every|each|several|other|the other)\b[^.?!]{0,20}"
    r"\bmodels?\b(?:[\s,:]*(?P<question>.{3,480}))?|"
    r"\bwhat (?:do|would) (?:the )?(?:others?|other models|all models) (?:think|say)\b|"
    r"\bdo (?:the|all|these|your) models (?:dis)?agree\b",
    re.I | re.S,
)
BEFORE_QUESTION = re.compile(r"^(?:(?:this|the|that) [\w-]+|img\d+|it)\s*[:,]\s+(?=\w)", re.I)
WHETHER = re.compile(r"^(?:whether|if) there (is|are)\b", re.I)
NO_QUESTION = re.compile(
    r"^(?:(?:on|about|for|of) )?(?:please|it|this|that|img\d+|(?:this|the|that) [\w-]+)?\W*$", re.I
)
WHAT_IS_SHOWN = "What does this image show?"
FINDINGS = re.compile(
    r"\b(?:write|draft|state|report|list|give|dictate)\b[^.?!]{0,40}\bfindings\b|"
    r"\bfindings and (?:an? |the )?impression\b",
    re.I,
)
A_REPORT = re.compile(r"\b(?:an?|the|draft|my|this) (?:[\w-]+ ){0,2}report\b", re.I)
# Where something is: the lungs are outlined instead, and what is "there" is no question about a place.
WHERE = re.compile(
    r"^\W*(?:(?:please|can you|could you|and|then|show me|tell me|mark) )*(?:where(?:'s| is| are)|locate|find|point to|"
    r"put (?:a )?box(?:es)? (?:around|on|about))\s+(?P<phrase>(?:the |an? |any |all )?[^.?!]{2,150})",
    re.I,
)
DETECT = re.compile(
    r"^\W*(?:(?:please|can you|could you|and|then) )*detect\s+(?P<labels>(?:the |an? |any |all )?[^.?!]{2,300})", re.I
)
AND = re.compile(r"\s*(?:,|\band\b|\bor\b)\s*", re.I)
ARTICLE = re.compile(r"^(?:the|an?|any|all)\s+", re.I)
NOT_ON_IMAGES = re.compile(r"\b(?:lungs?|images?|pictures?|papers?|you|i|we|my|difference|file|it|this|that)\b", re.I)
ON_IMAGE = re.compile(r"\s*\b(?:on|in|of) (?:img\d+|this|the (?:image|film|scan|picture|radiograph))\b.*$", re.I)
SYNTHESISE = re.compile(
    r"\b(?:synthesi[sz]e|(?:generate|make|create|draw|invent) (?:me )?(?:an? |some )?(?:(?:synthetic|artificial|fake) "
    rf"(?:[\w-]+ ){{0,4}}?{IMAGES}|(?:[\w-]+ ){{0,4}}?{IMAGES} (?:of|with|showing)))\b",
    re.I,
)


def calls(clause: str, targets: list[str], known: list[str]) -> list[Call]:
    """The calls that a clause asks for, or none. `targets` are the images that the request is about, `known` all of
    the conversation."""
    if SYNTHESISE.search(clause):
        return [("synthesise_image", {"prompt": clause[:500]})]
    if len(known) > 1 and REGISTER.search(clause):
        fixed, moving = (targets if len(targets) > 1 else known[-2:])[:2]
        if ONTO.search(clause):  # the first that is named is the one that moves
            fixed, moving = moving, fixed
        return [("register_images", {"fixed": fixed, "moving": moving} | _how(clause))]
    if len(known) > 1 and COMPARE.search(clause) and not ANOMALY.search(clause):
        first, second = (targets if len(targets) > 1 else known[-2:])[:2]
        return [("compare_images", {"first": first, "second": second})]
    if targets and (opinions := OPINIONS.search(clause) or ALL_MODELS.search(clause)):
        return [("second_opinions", {"image": target, "question": _question(opinions)}) for target in targets]
    if targets and FINDINGS.search(clause) and not A_REPORT.search(clause):
        return [("report_findings", {"image": target}) for target in targets]
    if targets and SIMILAR.search(clause):
        return [("find_similar_images", {"image": target}) for target in targets[:1]]
    if (by_text := BY_TEXT.search(clause)) and MINE.search(clause):
        return [("find_images_by_text", {"text": by_text["words"].strip()})]
    if targets and (place := WHERE.match(clause)):
        phrase = ON_IMAGE.sub("", place["phrase"]).strip()
        if len(phrase) > 1 and not NOT_ON_IMAGES.search(phrase):
            return [("ground", {"image": target, "phrase": phrase}) for target in targets]
    if targets and (asked := DETECT.match(clause)) and (labels := _labels(asked["labels"])):
        return [("detect_objects", {"image": target, "labels": labels}) for target in targets]
    if targets and ENLARGE.search(clause):
        factor = {"factor": 4} if FOUR.search(clause) else {}
        return [("enlarge_image", {"image": target} | factor) for target in targets]
    if targets and ANOMALY.search(clause):
        named = SET_NAMED.search(clause)
        of_set = {"normal_set": named["name"].strip()} if named else {}
        return [("find_anomalies", {"image": target} | of_set) for target in targets]
    return []


def _question(found: re.Match[str]) -> str:
    """What opinions are asked on: "whether there is an effusion" becomes a question."""
    words = BEFORE_QUESTION.sub("", (found["question"] or "").strip())
    if NO_QUESTION.match(words):
        return WHAT_IS_SHOWN
    asked = WHETHER.sub(r"\1 there", words)
    return asked if asked == words else f"{asked.rstrip('.?! ').capitalize()}?"


def _labels(words: str) -> list[str]:
    """The things that a clause names: "tubes, lines and the heart on img1"."""
    named = (ARTICLE.sub("", part).strip() for part in AND.split(ON_IMAGE.sub("", words)))
    return [label[:120] for label in named if len(label) > 1 and not NOT_ON_IMAGES.search(label)][:20]


def instead(call: Call) -> Call | None:
    """The other tool that puts boxes, for where the first is not configured or its answer is refused."""
    name, arguments = call
    if name == "ground":
        return "detect_objects", {"image": arguments["image"], "labels": [ARTICLE.sub("", arguments["phrase"])[:120]]}
    if name == "detect_objects":
        return "ground", {"image": arguments["image"], "phrase": ", ".join(arguments["labels"])[:200]}
    return None


def _how(clause: str) -> dict[str, str]:
    bent, affine = BENT.search(clause), AFFINE.search(clause)
    transform = {"transform": "bspline"} if bent else {"transform": "affine"} if affine else {}
    return transform | ({"metric": "correlation"} if CORRELATION.search(clause) else {})
