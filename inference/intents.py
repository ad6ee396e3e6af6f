"""What a request asks for: which tools, on which image, with which words. Rules first, similarity where none speaks."""

import re
from dataclasses import dataclass, field
from typing import Any

from inference.types import Embedder

Call = tuple[str, dict[str, Any]]

SEGMENT = re.compile(r"\b(segment\w*|outlin\w+|delineat\w*|contour\w*|masks?|lung (?:fields?|areas?))\b", re.I)
DESCRIBE = re.compile(
    r"\b(describe|header|metadata|(?:pixel )?spacing|pixels?|resolution|expos\w+|contrast|quality|bit depth|modality|"
    r"how (?:large|big)|what (?:kind|type|sort) of image|what is (?:this|it)\b)",
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
    r"\b(papers?|literature|stud(?:y|ies)|publications?|published|articles?|survey|review|cite[sd]?|citations?|"
    r"references?|methods?|approach(?:es)?|benchmarks?|data ?sets?|state of the art|fine-?tun\w*|prompt\w*|"
    r"pre-?train\w*|contrastive|adapters?|lora|zero-?shot|few-?shot|federated|authors?|since (?:19|20)\d\d|"
    r"in (?:19|20)\d\d|research)\b",
    re.I,
)
REPORT = re.compile(
    r"\b(?:draft|write|create|make|prepare|compose|generate|produce|give)\b[^.?!]*\breport\b|"
    r"^\s*report\b|\bdraft report\b",
    re.I,
)
QUESTION = re.compile(r"\?|^\s*(?:is|are|does|do|can|could|what|where|which|how|why|who)\b", re.I)
IMPERATIVE = re.compile(
    r"^\s*(?:please |can you |could you )?(?:segment|outline|delineate|contour|describe|classify)\b", re.I
)
HELLO = re.compile(r"^\s*(?:hi|hello|hey|help|thanks|thank you|what can you do|who are you)\b[\s.!?]*$", re.I)
CLAUSE = re.compile(
    r"(?<=[.?!;])\s+|\n+|,?\s+(?:and|then|also)(?:\s+then)?\s+(?=(?:please\s+)?(?:segment|outline|describe|"
    r"classify|draft|write|which|what|who|find|search|list|show|how|compare|tell|is|are|does)\b)",
    re.I,
)
IMAGE_NAME = re.compile(r"\bimg(\d{1,4})\b", re.I)

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
    """Calls to make at once, calls that build on their results, and whether an image is missing."""

    calls: list[Call] = field(default_factory=list)
    afterwards: list[Call] = field(default_factory=list)
    needs_image: bool = False

    def add(self, name: str, arguments: dict[str, Any]) -> None:
        if (name, arguments) not in self.calls:
            self.calls.append((name, arguments))


def understand(text: str, images: list[dict[str, Any]], tools: list[str], embedder: Embedder | None) -> Request:
    """The calls that a request needs, among `tools`. `images`: {"name", "attached"} of the conversation, in order."""
    request = Request()
    targets = _targets(text, images)
    attached = any(image.get("attached") for image in images)
    clauses = [clause.strip() for clause in CLAUSE.split(text) if clause and clause.strip()]
    for clause in clauses:
        _clause(request, clause, targets, attached, embedder)
    if attached and not request.calls and not request.afterwards:
        for target in targets:
            request.add("describe_image", {"image": target})
    request.calls = [call for call in request.calls if call[0] in tools]
    request.afterwards = [call for call in request.afterwards if call[0] in tools]
    return request


def _targets(text: str, images: list[dict[str, Any]]) -> list[str]:
    """The images that a request is about: those it names, else those it brings, else the latest one."""
    known = [str(image["name"]) for image in images]
    named = [f"img{number}" for number in IMAGE_NAME.findall(text) if f"img{number}" in known]
    brought = [str(image["name"]) for image in images if image.get("attached")]
    return list(dict.fromkeys(named or brought or known[-1:]))


def _clause(request: Request, clause: str, targets: list[str], attached: bool, embedder: Embedder | None) -> None:
    if HELLO.match(clause):
        return
    if REPORT.search(clause) and not (LITERATURE.search(clause) and QUESTION.search(clause)):
        if targets and attached and not request.calls:
            _look(request, targets)
        request.afterwards = [("draft_report", {"title": "Draft report"})]
        return
    names = _tools_for(clause, bool(targets), attached, embedder)
    if not names and IMPERATIVE.match(clause):
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
    return {"image": target, "question": clause[:2000]} if name == "ask_image" else {"image": target}


def _tools_for(clause: str, has_image: bool, attached: bool, embedder: Embedder | None) -> list[str]:
    imperative = IMPERATIVE.match(clause)
    if LITERATURE.search(clause) and not (imperative and has_image):
        return ["search_literature"]
    if not has_image:
        return [] if imperative else ["search_literature"]
    if SEGMENT.search(clause):
        return ["segment"]
    if DESCRIBE.search(clause):
        return ["describe_image"]
    if CLASSIFY.search(clause):
        return ["classify", "describe_image"]
    if PRESENCE.search(clause):
        return ["ask_image", "classify", "describe_image"]
    if similar := _similar(clause, embedder):
        return [similar]
    if QUESTION.search(clause):
        return ["ask_image", "describe_image"] if attached else ["ask_image"]
    return []


def _similar(clause: str, embedder: Embedder | None) -> str | None:
    """The tool whose example sentence is nearest to the clause, if one is near."""
    if embedder is None:
        return None
    pairs = [(name, example) for name, examples in EXAMPLES.items() for example in examples]
    vectors = embedder.embed([clause, *(example for _, example in pairs)])
    scores = vectors[1:] @ vectors[0]
    best = int(scores.argmax())
    return pairs[best][0] if scores[best] >= SIMILAR else None
