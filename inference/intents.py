"""What a request asks for: which tools, on which image, with which words. Rules first, similarity where none speaks."""

import re
from dataclasses import dataclass, field
from typing import Any

from inference import image_tasks, named
from inference.named import MODEL_NAME
from inference.types import Embedder

Call = tuple[str, dict[str, Any]]

SEGMENT = re.compile(
    r"\b(segment\w*|outlin\w+|delineat\w*|contour\w*|masks?|lung (?:fields?|areas?|borders?|size))\b|"
    r"\b(?:where|mark|show|draw|highlight|locate|measure|size|area|large|big|much)\b[^.?!]{0,80}\blungs?\b",
    re.I,
)
LUNGS = re.compile(r"\blungs\b|\b(?:left|right|each|lung (?:fields?|areas?|borders?))\b", re.I)
OTHER_STRUCTURE = re.compile(
    r"\b(heart|aorta|trachea|diaphragm|ribs?|clavicles?|spine|vertebrae?|bones?|liver|spleen|kidneys?|pancreas|stomach|"
    r"bladder|prostate|breasts?|brain|hippocampus|ventricles?|vessels?|optic (?:disc|cup)|retina|nodules?|mass(?:es)?|"
    r"tumou?rs?|lesions?|polyps?|effusions?|pneumothorax|consolidations?|fractures?|teeth|hand)\b",
    re.I,
)
DESCRIBE = re.compile(
    r"\b(describe|header|metadata|(?:pixel )?spacing|pixels?|resolution|expos\w+|contrast|quality|bit depth|modality|"
    r"how (?:large|big)|what (?:kind|type|sort) of image|what(?: is|'s) (?:this|it)\b|compare|"
    r"review|look at|(?:difference|changed?) between)",
    re.I,
)
CLASSIFY = re.compile(r"\b(classif\w*|labels?|diagnos\w*|abnormal\w*|patholog(?:y|ies)|findings?|normal)\b", re.I)
PRESENCE = re.compile(
    r"\b(?:is|are) there\b|\b(?:does|do|can|could) (?:it|this|that|you|the (?:image|film|scan|picture|radiograph))\b|"
    r"\b(?:effusion|pneumonia|cardiomegaly|nodules?|mass|fractures?|pneumothorax|consolidation|atelectasis|o?edema|"
    r"hernia|tumou?rs?|lesions?|opacit(?:y|ies)|infiltrat\w+|haemorrhage|hemorrhage)\b",
    re.I,
)
LITERATURE = re.compile(
    r"\b(papers?|literature|(?<!this )(?<!my )stud(?:y|ies)|publications?|published|articles?|survey|cite[sd]?|"
    r"citations?|reviews?(?![^.?!]{0,60}\b(?:image|picture|film|scan|x-?ray|radiograph|it|img\d+)\b)|"
    r"references?|methods?|approach(?:es)?|benchmarks?|data ?sets?|state of the art|fine-?tun\w*|prompt\w*|"
    r"pre-?train\w*|contrastive|adapters?|lora|zero-?shot|few-?shot|federated|authors?|since (?:19|20)\d\d|"
    r"in (?:19|20)\d\d|research|(?:vision|large|visual)[- ]language|(?:foundation|language) models?|"
    r"segment anything)\b",
    re.I,
)
REPORT = re.compile(
    r"\b(?:draft|write|create|make|prepare|compose|generate|produce|give)\b[^.?!]{0,80}\breport\b(?! generation)|"
    r"^\s*(?:a |the )?report\b(?! generation)|\bdraft report\b",
    re.I,
)
QUESTION = re.compile(r"\?|^\s*(?:is|are|does|do|can|could|what|where|which|how|why|who)\b", re.I)
POLITE = (
    r"(?:(?:hi|hello|hey|ok|okay|now|then|first|finally|next|so|please|kindly|(?:can|could|would|will) you|"
    r"i(?:'d| would) like (?:you )?to|i want (?:you )?to|help me (?:to )?|let'?s|try to|\d+[.)])[,\s]+){0,6}"
)
IMPERATIVE = re.compile(rf"^\s*{POLITE}(?:segment|outline|delineate|contour|describe|classify)\b(?! anything)", re.I)
HELLO = re.compile(
    r"^\s*(?:(?:hi|hello|hey|help|thanks|thank you|thx|good (?:morning|afternoon|evening|day)|ok|okay|great|nice|cool|"
    r"perfect|yes|no|bye|goodbye|test|what can you do|what do you do|who are you|how are you|how does this work|"
    r"there|lightbox|again|everyone|very much|a lot|so much)\b[\s,.!?]*)+$",
    re.I,
)
# A request that is about an image, whether or not there is one.
ABOUT_AN_IMAGE = re.compile(
    r"\b(?:this|my|these|attached|uploaded) (?:[\w-]{1,30} )?(?:image|picture|film|scan|x-?ray|radiograph|photo|slide|"
    r"cxr|ct|mri|study)s?\b(?! encoder)|^\s*what(?: is|'s) (?:this|it|the diagnosis)\W*$|"
    r"^\s*(?:is|are) there [\w ]{0,40}(?:effusion|pneumonia|cardiomegaly|nodules?|mass|fractures?|"
    r"pneumothorax|consolidation|atelectasis|o?edema|tumou?rs?|lesions?|opacit(?:y|ies))\W*$",
    re.I,
)
OF_AN_IMAGE = re.compile(
    r"\b(?:image|picture|film|scan|x-?ray|radiograph|photo|slide|cxr|it|this|that|lungs?|img\d+|both)\b|"
    r"^\W*(?:please )?\w+\W*$",
    re.I,
)
VERBS = (
    r"(?:segment|outline|delineate|mark|measure|describe|classify|draft|write|create|prepare|generate|which|what|who|"
    r"find|locate|detect|search|list|show|how|compare|tell|is|are|does)"
)
CLAUSE = re.compile(
    r"(?<!\bal\.)(?<!\bvs\.)(?<!e\.g\.)(?<!i\.e\.)(?<=[.?!;])\s+|\n+|"
    rf"(?:,\s*|\s+)(?:(?:and|then|also|finally)\s+){{1,3}}(?={POLITE}{VERBS}\b)|"
    r",\s+(?=(?:segment|outline|describe|classify|draft|find)\b)",
    re.I,
)
# What a person or a file has put on an image: by its name, or by what was done to it.
MARK_NAME = re.compile(r"\b(img\d{1,4}\.\d{1,5}|c\d{1,6}\.\d{1,4})\b", re.I)
MARKED = re.compile(
    r"\b(?:corrected|corrections?|hand-?drawn|drawn|annotat(?:ed|ions?)|"
    r"my (?:[\w-]{1,20} )?(?:masks?|outlines?|regions?|contours?|drawings?|measurements?|lines?|rulers?|angles?|"
    r"ellipses?)|(?:i|i've|i have|you|we) (?:drew|marked|outlined|made|measured|drawn)|marked (?:region|area)s?)\b",
    re.I,
)
MEASURED = re.compile(r"\b(?:mean|average|standard deviation|sd|values?|extent|long|length|angle|diameter)\b", re.I)
LETTERS = re.compile(r"[^\W\d_]{2}")
LIST_NUMBER = re.compile(r"^\s*\d{1,3}[.)]\s*")
LOOKS_BACK = re.compile(r"\b(?:that|this|it|them|these|those|such)\W*$", re.I)
IMAGE_NAME = re.compile(r"\bimg(\d{1,4})\b", re.I)

AGAIN = re.compile(r"^\W*(?:and|what about|how about|same|the same|now|next|again|likewise|also)\b", re.I)
SIZE = re.compile(r"\b(?:how (?:large|big|wide)|size|area|volume|measure\w*)\b", re.I)
IMAGE_TOOLS = (
    *("describe_image", "segment", "classify", "ask_image", "enlarge_image", "find_anomalies"),
    *("ground", "report_findings", "second_opinions", "detect_objects"),
)

# Asked only when no rule speaks about a request that comes with an image.
EXAMPLES = {
    "segment": ["where are the lungs", "draw the borders of the lungs", "how much lung is visible", "mark the organ"],
    "describe_image": ["tell me about this picture", "what am I looking at", "is the picture good enough"],
    "classify": ["what disease is this", "anything wrong here", "which condition does the patient have"],
    "ask_image": ["on which side is the tube", "count the ribs", "what is the bright spot near the heart"],
    "search_literature": ["who has worked on this problem", "what is known about such models"],
}
SIMILAR = 0.5  # cosine below which an example is no evidence


@dataclass(slots=True)
class Request:
    """Calls to make at once, calls that build on their results, what to ask for instead of one that is declined (by a
    tool that knows which papers there are), whether an image is missing, and why calls were left out that a tool would
    decline for the kind of image."""

    calls: list[Call] = field(default_factory=list)
    afterwards: list[Call] = field(default_factory=list)
    otherwise: list[tuple[Call, Call]] = field(default_factory=list)
    needs_image: bool = False
    declined: list[str] = field(default_factory=list)

    def add(self, name: str, arguments: dict[str, Any]) -> None:
        if (name, arguments) not in self.calls:
            self.calls.append((name, arguments))


def understand(
    text: str,
    images: list[dict[str, Any]],
    tools: list[str],
    embedder: Embedder | None,
    before: list[Call] | None = None,
    papers: list[str] | None = None,
    marks: list[dict[str, Any]] | None = None,
) -> Request:
    """The calls that a request needs, among `tools`. `images`: {"name", "attached", "declines"} of the conversation, in
    order; `declines` maps tools that do not work on this kind of image to the reason.
    `before`: the calls for the question before this one, which "and img2?" asks for again; `papers`: the keys of those
    that its answer showed, which "the second one" means. `marks`: {"name", "image", "kind", "label", "corrects"} of
    what people and files have put on the images, in order."""
    request = Request()
    known = papers or [] if not images else []  # beside an image, "it" and "the first" may mean that
    if again := _again(text, before or []):
        request.calls = [call for call in again if call[0] in tools]
        _leave_out(request, images)
        return request
    targets = _targets(text, images)
    attached = any(image.get("attached") for image in images)
    known_images = [str(image["name"]) for image in images]
    for clause in _clauses(text, bool(targets)):
        if regions := _regions(clause, marks or []):
            for region in regions:
                request.add("measure_region", {"region": region})
        elif asked := [] if _is_literature(clause) else _tasks(clause, targets, known_images, tools):
            for call in asked:
                request.add(*call)
                if (other := image_tasks.instead(call)) and other[0] in tools:
                    request.otherwise.append((call, other))
            if asked[0][0] == "detect_objects" and PRESENCE.search(clause):  # "detect pneumonia": is it there?
                _clause(request, clause, targets, attached, embedder)
        else:
            _clause(request, clause, targets, attached, embedder)
    _name_papers(request, tools, known)
    request.calls = [_on_what(call, [*(before or []), *request.calls[:at]]) for at, call in enumerate(request.calls)]
    if attached and not request.calls and not request.afterwards:
        for target in targets:
            request.add("describe_image", {"image": target})
    request.calls = [call for call in request.calls if call[0] in tools]
    request.afterwards = [call for call in request.afterwards if call[0] in tools]
    _leave_out(request, images)
    return request


def _tasks(clause: str, targets: list[str], known: list[str], tools: list[str]) -> list[Call]:
    """What `inference.image_tasks` takes the clause for, as far as there are tools for it."""
    return [call for call in image_tasks.calls(clause, targets, known) if call[0] in tools]


def _on_what(call: Call, asked: list[Call]) -> Call:
    """Opinions without a question of their own are on the last one that was asked about the image."""
    name, arguments = call
    if name != "second_opinions" or arguments["question"] != image_tasks.WHAT_IS_SHOWN:
        return call
    about = [given for of, given in asked if of == "ask_image" and given.get("image") == arguments["image"]]
    question = str(about[-1].get("question", ""))[:500] if about else ""
    return (name, {**arguments, "question": question}) if len(question) > 2 else call


def _leave_out(request: Request, images: list[dict[str, Any]]) -> None:
    """Take out the calls that would be declined, and keep the reason of each once."""
    declines = {str(image["name"]): image.get("declines", {}) for image in images}
    for call in list(request.calls):
        why = declines.get(call[1].get("image", ""), {}).get(call[0])
        if why and call[1].keys() == {"image"}:  # what else is asked for may suit the image
            request.calls.remove(call)
            request.declined = list(dict.fromkeys([*request.declined, why]))


def _name_papers(request: Request, tools: list[str], papers: list[str]) -> None:
    """Where a question is about papers by name, these are read or compared, and searched for if there are none such."""
    calls: list[Call] = []
    for call in request.calls:
        instead = _by_name(call[1]["query"], papers) if call[0] == "search_literature" else None
        if instead and instead[0] in tools:
            request.otherwise.append((instead, call))
            call = instead
        if call not in calls:
            calls.append(call)
    request.calls = calls


def _by_name(clause: str, papers: list[str]) -> Call | None:
    """The call for a clause that names papers, or means those of the last answer."""
    names = named.compared(clause) or named.meant(clause, papers)
    if len(names) > 1:
        return "compare_papers", {"papers": names}
    if name := (names[0] if names else named.read(clause)):
        return "read_paper", {"paper": name, "question": clause}
    return None


def _clauses(text: str, has_image: bool) -> list[str]:
    """The parts of a request. Words that ask for nothing stay with the question after them, which is about them."""
    text = re.sub(r"[^\S\n]+", " ", text)
    parts = [LIST_NUMBER.sub("", part).strip() for part in CLAUSE.split(text) if LETTERS.search(part)]
    found: list[str] = []
    context = ""
    for part in parts:
        if found and LOOKS_BACK.search(part) and LITERATURE.search(part):
            part = f"{part} ({found[-1]})"
        if not has_image and not _asks(part):
            context = f"{context} {part}".strip()
        else:
            found.append(f"{context} {part}".strip())
            context = ""
    return [*found, context] if context else found


def _again(text: str, before: list[Call]) -> list[Call]:
    """The last question's image tools on the images that a follow-up names, where it says nothing else."""
    named = [f"img{int(number)}" for number in IMAGE_NAME.findall(text)]
    names = dict.fromkeys(name for name, _ in before if name in IMAGE_TOOLS)
    rules = (LITERATURE, REPORT, SEGMENT, DESCRIBE, CLASSIFY, PRESENCE)
    if not named or not AGAIN.match(text) or any(rule.search(text) for rule in rules):
        return []
    asked = {name: args for name, args in before if not any(args.get(mark) for mark in ("box", "points", "lasso"))}
    names = {name: None for name in names if name in asked}  # marks lie on one image, and are not moved to another
    return [(name, {**asked[name], "image": image}) for image in dict.fromkeys(named) for name in names]


def _regions(clause: str, marks: list[dict[str, Any]]) -> list[str]:
    """The names of the marks whose size or values a clause asks for: as it names them; else those that it describes by
    what was done, the label and the image, of several alike the newest."""
    if not (SIZE.search(clause) or MEASURED.search(clause)):
        return []
    if named := MARK_NAME.findall(clause):
        return list(dict.fromkeys(name.lower() for name in named))
    if not MARKED.search(clause) or not marks:
        return []
    images = {f"img{int(number)}" for number in IMAGE_NAME.findall(clause)}
    found = [mark for mark in marks if not images or mark["image"] in images]
    if re.search(r"\bcorrect", clause, re.I):
        found = [mark for mark in found if mark.get("corrects")] or found
    words = _words(clause)
    shared = [len(words & _words(f"{mark['label']} {mark['kind']}")) for mark in found]
    best = max(shared, default=0)
    alike = [mark for mark, count in zip(found, shared, strict=True) if count == best]
    newest = {(mark["image"], mark["label"]): str(mark["name"]) for mark in alike}
    return list(newest.values()) if best else list(newest.values())[-1:]


def _words(text: str) -> set[str]:
    return {word.removesuffix("s") for word in re.findall(r"[^\W\d_]+", text.lower())}


def _asks(part: str) -> bool:
    return any(rule.search(part) for rule in (QUESTION, LITERATURE, REPORT, IMPERATIVE, HELLO, MODEL_NAME))


def _targets(text: str, images: list[dict[str, Any]]) -> list[str]:
    """The images that a request is about: those it names (known or not: the tool then says that there is none), else
    those it brings, else the latest one."""
    known = [str(image["name"]) for image in images]
    named = [f"img{int(number)}" for number in IMAGE_NAME.findall(text)]
    brought = [str(image["name"]) for image in images if image.get("attached")]
    return list(dict.fromkeys(named or brought or known[-1:]))


def _clause(request: Request, clause: str, targets: list[str], attached: bool, embedder: Embedder | None) -> None:
    if HELLO.match(clause):
        return
    if (report := REPORT.search(clause)) and not _is_literature(clause[: report.start()]):
        if targets and attached:
            _look(request, targets)
        if _is_literature(clause):
            request.add("search_literature", {"query": clause[:1000]})
        request.afterwards = [("draft_report", {"title": "Draft report"})]
        return
    names = _tools_for(clause, bool(targets), attached, embedder)
    if not names and not targets:
        request.needs_image = True
    for name in names:
        if name == "search_literature":
            request.add(name, {"query": clause[:1000]})
        for target in targets if name != "search_literature" else []:
            request.add(name, _image_arguments(name, target, clause))


def _look(request: Request, targets: list[str]) -> None:
    """What a report on new images is drafted from."""
    for target in targets:
        request.add("describe_image", {"image": target})
        request.add("segment", {"image": target})
        request.add("classify", {"image": target})


def _image_arguments(name: str, target: str, clause: str) -> dict[str, Any]:
    other = OTHER_STRUCTURE.search(clause)
    if name == "segment" and other and not LUNGS.search(clause):
        return {"image": target, "structure": other[0].lower()}
    return {"image": target, "question": clause[:2000]} if name == "ask_image" else {"image": target}


def _is_literature(clause: str) -> bool:
    return bool(LITERATURE.search(clause) or (MODEL_NAME.search(clause) and not clause.isupper()))


def _tools_for(clause: str, has_image: bool, attached: bool, embedder: Embedder | None) -> list[str]:
    imperative = IMPERATIVE.match(clause) and (SEGMENT.search(clause) or OF_AN_IMAGE.search(clause))
    if _is_literature(clause) and not (imperative and has_image):
        return ["search_literature"]
    if not has_image:
        return [] if imperative or ABOUT_AN_IMAGE.search(clause) else ["search_literature"]
    if SEGMENT.search(clause) or (SIZE.search(clause) and OTHER_STRUCTURE.search(clause)):
        return ["segment"]  # which declines what it cannot outline, by name
    if DESCRIBE.search(clause):
        return ["describe_image"]
    if CLASSIFY.search(clause):
        return ["classify", "describe_image"]
    if PRESENCE.search(clause):
        return ["ask_image", "classify", "describe_image"]
    if similar := _similar(clause, embedder):
        return [similar]
    if not QUESTION.search(clause):
        return []
    if attached:
        return ["ask_image", "describe_image"]
    return ["ask_image"] if ABOUT_AN_IMAGE.search(clause) else ["search_literature"]


def _similar(clause: str, embedder: Embedder | None) -> str | None:
    """The tool whose example sentence is nearest to the clause, if one is near."""
    if embedder is None:
        return None
    pairs = [(name, example) for name, examples in EXAMPLES.items() for example in examples]
    vectors = embedder.embed([clause, *(example for _, example in pairs)])
    scores = vectors[1:] @ vectors[0]
    best = int(scores.argmax())
    return pairs[best][0] if scores[best] >= SIMILAR else None
