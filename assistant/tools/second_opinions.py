"""One question about one image, put to every model that can answer it here: the answers side by side, not averaged."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from assistant import calibration, checkpoints_in_use, model_calls
from assistant.models import Artifact, Image
from assistant.tools import gate, seeing
from assistant.tools.base import (
    EXPERT,
    Context,
    Declined,
    ImageArguments,
    NewArtifact,
    Statement,
    Tool,
    ToolResult,
    load,
)
from assistant.tools.seeing import Seeing
from inference import verdicts
from inference.checkpoints import Checkpoint
from inference.errors import InferenceError
from inference.types import Result, Score
from inference.verdicts import UNCLEAR, Verdict

if TYPE_CHECKING:
    from inference.shown import Shown

ROLE, WHAT = "classify", "Image classification"
MOST, MOST_SERVED = 4, 3  # classifiers, and served models, that are asked
TOP = 3  # labels that are told where the question names none of them
SAID = 600  # characters of an answer
ASK = "{question}\nBegin with yes, no or unclear where that answers the question, then give the reason in a sentence."
NOBODY = "Nobody here can be asked about {name}."
ALONE = "There is nothing to compare with: only {who} answered."
NONE = "Nobody answered, so there is nothing to compare."
DIFFER = "They disagree: {yes} {says_yes} yes, {no} {says_no} no."
AGREE = "{who} all say {verdict}; that they agree does not make it so."
UNDECIDED = "Whether they agree cannot be told: fewer than two gave a plain yes or no."
FROM_UNCLEAR = "From {who} it is unclear."
HALF = (
    "A classifier's score counts as a yes above {high:g} and as a no below {low:g}: the middle of its scale, which "
    "is no tested limit."
)
NOT_AVERAGED = "The answers stand side by side; none was averaged or weighed. A qualified person has to decide."
NOT_ASKED = "Not asked, since they are made for other images: {who}."
MORE = "At most {most} classifiers are asked; not asked: {who}."
NOT_TOLD = "not told"
COLUMNS = ("who", "what it said", "score", "yes or no", "revision", "licence")


class OpinionsArguments(ImageArguments):
    question: str = Field(min_length=3, max_length=500, description="one question, best one that yes or no answers")


@dataclass(frozen=True, slots=True)
class Opinion:
    """One row: an answer, or why there is none."""

    who: str
    said: str
    score: str = ""
    verdict: Verdict = UNCLEAR
    revision: str = ""
    licence: str = ""
    answered: bool = True
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def row(self) -> list[str]:
        verdict = self.verdict if self.answered else "no answer"
        return [self.who, self.said, self.score, verdict, self.revision or NOT_TOLD, self.licence or NOT_TOLD]

    @property
    def sentence(self) -> str:
        return f"{self.who}: {self.said}" if self.answered else f"{self.who} gave no answer: {self.said}"


def run(context: Context, arguments: OpinionsArguments) -> ToolResult:
    image = context.image(arguments.image)
    suited, others = _classifiers(image, arguments.image)
    found = [_classified(context, one, image, arguments.question) for one in suited[:MOST]]
    found += _served(image, arguments)
    if not found:
        why = seeing.missing("vqa", "Visual question answering")
        raise Declined(f"{NOBODY.format(name=arguments.image)} {why}".strip())
    answered = [one for one in found if one.answered]
    scored = any(one.score and one.verdict != UNCLEAR for one in answered)
    notes = [HALF.format(low=0.5 - verdicts.MIDDLE, high=0.5 + verdicts.MIDDLE)] if scored else []
    notes += [MORE.format(most=MOST, who=_names(suited[MOST:]))] if suited[MOST:] else []
    notes += [NOT_ASKED.format(who=_names(others))] if others else []
    return ToolResult(
        summary=f"{len(answered)} of {len(found)} answered about {arguments.image}",
        statements=[
            Statement(line, f"{context.ref}.1") for line in [*(o.sentence for o in found), *_verdict(answered)]
        ],
        notes=[NOT_AVERAGED, *notes],
        artifacts=[_table(arguments, found)],
        model=", ".join(one.who for one in found),
        records=[one.record for one in found if one.record],
    )


def _names(found: list[Checkpoint]) -> str:
    return ", ".join(one.name for one in found)


def _classifiers(image: Image, name: str) -> tuple[list[Checkpoint], list[Checkpoint]]:
    """Those that are ready and made for this image, and those that are ready and made for others."""
    suited, others = [], []
    for found in checkpoints_in_use.usable(ROLE):
        try:
            gate.check(found, image, name)
        except Declined:
            others.append(found)
        else:
            suited.append(found)
    return suited, others


def _classified(context: Context, found: Checkpoint, image: Image, question: str) -> Opinion:
    try:
        done = model_calls.perform(context, found, "classify", [load(image)], {"top_k": 0})
    except InferenceError as error:
        return Opinion(found.name, str(error), "", UNCLEAR, found.revision, found.licence_words, answered=False)
    scores, _ = calibration.applied(context.conversation.owner_id, done.record, done.result.scores)
    asked = verdicts.asked_for(question, scores)
    told = asked or sorted(scores, key=lambda one: -one.value)[:TOP]
    return Opinion(
        found.name,
        _words(found, done.result, told, bool(asked)),
        "; ".join(f"{one.label} {one.value:.2f}" for one in told),
        UNCLEAR if found.built_in else verdicts.of_scores(scores, question),
        done.record.revision,
        found.licence_words,
        record=done.record.as_dict(),
    )


def _words(found: Checkpoint, result: Result, told: list[Score], asked: bool) -> str:
    """A baseline's own sentence; of a classifier the scores that were asked for, or its best and that none was."""
    if found.built_in and result.text:
        return " ".join(result.text.split())[:SAID]
    listed = ", ".join(f"{one.label}: {one.kind} {one.value:.2f}" for one in told)
    return f"{listed}." if asked else f"it has no label for what was asked; its best are {listed}."


def _served(image: Image, arguments: OpinionsArguments) -> list[Opinion]:
    """What the served models that answer questions or write reports say, asked at once."""
    asked = seeing.usable("vqa", "report")[:MOST_SERVED]
    pictures = [_pictures(one, image, arguments.image) for one in asked]
    with ThreadPoolExecutor(MOST_SERVED) as threads:
        return list(threads.map(partial(_opinion, arguments.question), asked, pictures))


def _pictures(asked: Seeing, image: Image, name: str) -> "list[Shown] | InferenceError":
    try:
        return asked.shown(image, name)
    except InferenceError as error:
        return error


def _opinion(question: str, asked: Seeing, pictures: "list[Shown] | InferenceError") -> Opinion:
    """In a thread of its own: it touches no database."""
    told = partial(
        Opinion, asked.model, revision=asked.found.revision, licence=asked.found.licence_words, record=asked.record
    )
    try:
        if isinstance(pictures, InferenceError):
            raise pictures
        said = " ".join(asked.answerer().answer(pictures, ASK.format(question=question)).split())
    except InferenceError as error:
        return told(str(error), answered=False)
    return told(said[:SAID], verdict=verdicts.of_text(said, question))


def _verdict(answered: list[Opinion]) -> list[str]:
    """Whether those who answered agree, in words."""
    if len(answered) < 2:
        return [ALONE.format(who=answered[0].who) if answered else NONE]
    yes, no, unclear = verdicts.split((one.who, one.verdict) for one in answered)
    more = [FROM_UNCLEAR.format(who=_and(unclear))] if unclear else []
    if yes and no:
        words = {"says_yes": _say(yes), "says_no": _say(no)}
        return [DIFFER.format(yes=_and(yes), no=_and(no), **words), *more]
    plain = yes or no
    if len(plain) < 2:
        return [UNDECIDED, *more]
    return [AGREE.format(who=_and(plain), verdict="yes" if yes else "no"), *more]


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _say(names: list[str]) -> str:
    return "say" if len(names) > 1 else "says"


def _table(arguments: OpinionsArguments, found: list[Opinion]) -> NewArtifact:
    data = {"plain": True, "columns": list(COLUMNS), "rows": [one.row for one in found]}
    return NewArtifact(Artifact.TABLE, f"opinions on {arguments.image}", data=data)


TOOL = Tool(
    name="second_opinions",
    description="Put one question about an image to every model that can answer it here, and show the answers side by "
    "side, with where they disagree.",
    arguments=OpinionsArguments,
    queue=EXPERT,
    run=run,
    shows_a_model=True,
)
