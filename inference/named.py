"""Papers that a question names, by the form of the words alone: whether one is to be read, or several compared.

Nothing here knows which papers there are. A name has the shape of one (MedCLIP, BLIP-2, PLIP), and the tool that is
asked says whether there is such a paper.
"""

import re
from collections.abc import Sequence

# Two capitals and a small letter (MedCLIP, BioViL, LLaVA-Med), or one of the few in capitals only.
MODEL_NAME = re.compile(
    r"(?<![\w-])(?!X-?[Rr]ay|[A-Z]{1,9}s\b)(?=[\w-]{0,30}[a-z])(?:[\w-]{0,30}?[A-Z]){2}|\b(?:CLIP|SAM|BLIP|BERT|GPT|DINO|ALIGN)\b|"
    r"\b(?:VLM|LLM)s?\b"
)
# Capitals that name no method. In a question about one thing or a comparison, any others are taken for a name: when
# there is no such paper, the question is searched for instead.
_NO_NAME = re.compile(
    r"(?:VLM|LLM|MLLM|LVLM|CNN|RNN|LSTM|GAN|MLP|CT|CTA|CBCT|MR|MRI|fMRI|PET|OCT|CXR|US|WSI|EEG|ECG|EHR|VQA|MIA|AI|ML|"
    r"NLP|CV|AUC|AUROC|ROC|METEOR|BLEU|ROUGE|CIDEr|SPICE|DSC|m?IoU|PSNR|SSIM|FID|BERTScore|GPU|CPU|PEFT|RAG|RLHF|QA|COPD|COVID|HIV|TB|ICU|FDA|CE|EU|USA?|UK|PDF|API|IEEE|MICCAI|CVPR|"
    r"2D|3D|4D|X-?[Rr]ays?|[A-Z])s?",
)
_WORD = re.compile(r"[^\W_][\w+.\u00b7-]*[\w+]|[^\W_]")
_CAPITALS = re.compile(r"[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*")
_PART = re.compile(r"[A-Z]|\d|v\d")  # how a further word of a name begins
_PLACE = re.compile(
    r"\bthe (first|1st|second|2nd|third|3rd|fourth|4th|fifth|5th|sixth|6th|last)"
    r"(?: (?:one|paper|method|model)\b(?! (?:to|that|which|for|in|with)\b)| of (?:them|these|those)\b|\W*$)",
    re.I,
)
_ORDER = {"fir": 0, "1st": 0, "sec": 1, "2nd": 1, "thi": 2, "3rd": 2, "fou": 3, "4th": 3, "fif": 4, "5th": 4}
_ORDER |= {"six": 5, "6th": 5, "las": -1}

COMPARES = re.compile(
    r"\bcompare\b|\bcompar(?:ed|ison)\b|\bversus\b|\bvs\b\.?|\bdifferences?\b[^.?!]{0,40}\bbetween\b|"
    r"\bdiffer\b|\bside by side\b",
    re.I,
)
READS = re.compile(
    r"^\W*(?:(?:and|so|then|now|please|can you|could you)\W+){0,3}(?:read|summari[sz]e|explain|describe|"
    r"tell me (?:more )?(?:about|what)|what(?:'s| is| are| does| did| do| was| were| about)?|how about|"
    r"which (?:data|back|loss|encod|archi|metric|model size|objective|code|year|venue|image|modal|task)\w*|"
    r"how (?:is|was|does|did|do|many|much|well|large|big|long|good)|on (?:which|what|how many)|"
    r"who|when|where|why|does|did|is|was|has)\b",
    re.I,
)
# Words by which a question that names one method still asks for others, or for no paper at all.
MANY = re.compile(
    r"\b(?:papers|methods|models|approaches|studies|works|literature|anyone|others?|alternatives?|similar|like|better|"
    r"variants?|surveys?|compared?|than|(?:build|built|builds|based|building) (?:up)?on|extend\w*|"
    r"(?:which|what) (?:papers?|methods?|models?|approach\w*|works?|stud\w+)\b(?! size)|since (?:19|20)\d\d)\b",
    re.I,
)
ELSEWHERE = re.compile(r"\b(?:on|in|for|with|from|via|using|by|against|over) (?:the )?$", re.I)  # "on CheXpert"
THIS = re.compile(r"\b(?:this|these|my|it)\b", re.I)
AND_ALL = re.compile(r"\b(?:both|them|these|those|the (?:two|three|four|five|six))\b", re.I)
IT = re.compile(
    r"\b(?:it|its|this (?:paper|method|model)|that (?:paper|method|model|one)|the (?:paper|method|model))\b", re.I
)


def names_in(text: str) -> list[str]:
    """The names in a text, in order: a word of the right shape, with the capitals and numbers beside it that belong to
    it ("Grounding DINO", "MiniGPT v2"). A text in capitals throughout has none that could be told from its words."""
    if text.isupper() and " " in text.strip():
        return []
    words = list(_WORD.finditer(text))
    found: list[str] = []
    at = 0
    while at < len(words):
        last = at
        if _is_name(words[at][0]):
            first = at - 1 if at > 1 and _beside(text, words, at - 1) and words[at - 1][0][0].isupper() else at
            while last + 1 < len(words) and _beside(text, words, last):
                last += 1
            found.append(text[words[first].start() : words[last].end()])
        at = last + 1
    return list(dict.fromkeys(found))


def _is_name(word: str) -> bool:
    if _NO_NAME.fullmatch(word):
        return False
    return bool(MODEL_NAME.match(word) or (len(word) > 2 and _CAPITALS.fullmatch(word)))


def _beside(text: str, words: Sequence[re.Match[str]], left: int) -> bool:
    """Whether this word and the next make one name: one blank between them, and both with a capital or a number."""
    pair = words[left][0], words[left + 1][0]
    apart = text[words[left].end() : words[left + 1].start()] != " "
    return not apart and all(
        _PART.match(word) and not READS.match(word) and not _NO_NAME.fullmatch(word) for word in pair
    )


def compared(clause: str) -> list[str]:
    """The names that a clause wants set side by side, two to six; else none."""
    names = names_in(clause) if COMPARES.search(clause) else []
    return names if 2 <= len(names) <= 6 else []


def read(clause: str) -> str:
    """The one name that a clause asks about, or nothing."""
    names = names_in(clause)
    if names and clause.strip(" .?!\"'") == names[0]:
        return names[0]
    about = [name for name in names if not ELSEWHERE.search(clause[: clause.index(name)])]
    asks = READS.match(clause) and not MANY.search(clause) and not THIS.search(clause)
    return about[0] if len(about) == 1 and asks else ""


def meant(clause: str, before: Sequence[str]) -> list[str]:
    """Which papers of the last answer a follow-up means: "the second one", "compare them", "it" where it was one."""
    if (place := _PLACE.search(clause)) and before:
        at = _ORDER[place[1][:3].lower()]
        return [before[at]] if at < len(before) else []
    if COMPARES.search(clause) and AND_ALL.search(clause) and 2 <= len(before) <= 6:
        return list(before)
    one = len(before) == 1 and IT.search(clause) and not MANY.search(clause) and not names_in(clause)
    return [before[0]] if one else []
