"""The words of the papers that the tests typeset. Written for the tests: no such study exists."""

from __future__ import annotations

from typing import Any

from tests.corpus.documents.typeset import Paper

INTRODUCTION = [
    "Vision-language models learn a shared representation of radiographs and their reports. Contrastive "
    "pretraining has become the standard recipe, yet the representation is coarse: a report speaks about many"
    " findings, and most image patches show none of them. Radiologists look at regions, compare them with "
    "earlier examinations, and only then write a sentence. A model that aligns whole images with whole "
    "reports cannot follow them there.",
    "We ask whether the alignment can be made finer without any additional annotation. Our starting point is "
    "the observation that reports are written in sentences, and that each sentence usually speaks about one "
    "anatomical region. Segmentation of these regions is available for free from an atlas. The weak "
    "supervision that follows from it is noisy but plentiful, and the experiments below show that it is "
    "suf\ufb01cient.",
    "Our contributions are threefold. First, we describe an ef\ufb01cient objective that aligns sentences with "
    "regions. Second, we measure its effect on four data sets under identical budgets. Third, we release the "
    "training code and the splits, so that the comparison can be repeated by anyone with a single graphics "
    "card.",
]
METHODS = [
    "Each radiograph is resampled to 224 by 224 pixels and encoded by a vision transformer with sixteen-pixel"
    " patches. Sentences are encoded by a clinical language model whose lower layers are frozen during the "
    "whole of the training. Both encoders end in a linear projection to 512 dimensions. The temperature is "
    "learned.",
    "For every sentence the atlas proposes a set of patches. We average their embeddings with weights that "
    "come from the attention of the sentence to the patches, and maximise the cosine similarity between the "
    "average and the sentence. Negative pairs come from other studies in the same batch. Sentences that speak"
    " about no region are aligned with the whole image, as earlier work does it.",
    "The text encoder is untouched for the \ufb01rst two epochs. Without this warm-up the vision-language "
    "alignment collapses in three of ten runs, in all of which the loss stays near its initial value. With it"
    " we have not seen a single collapse in forty runs with different seeds.",
]
RESULTS = [
    "On the chest data set the region objective raises zero-shot accuracy from 61.2 to 66.8 per cent. The "
    "gain is largest for small findings: nodules improve by 9.1 points, while cardiomegaly, which \ufb01lls a "
    "third of the image, improves by 0.4 points only. Con\ufb01dence intervals from a thousand bootstrap samples "
    "do not overlap.",
    "Retrieval of reports by image improves in the same way. Recall at ten rises from 38.5 to 47.3 per cent. "
    "When the atlas is replaced by random rectangles of the same area the gain disappears almost entirely, "
    "which tells us that the regions matter and not the mere number of pairs.",
]
DISCUSSION = [
    "The study has limitations. All radiographs come from two hospitals in one country, and lateral views "
    "were excluded. The atlas assumes an adult chest without previous surgery. We did not measure how a "
    "change of the scanner affects the result, and no radiologist has read the retrieved reports.",
    "Nevertheless the result is encouraging: a few lines of code and a public atlas replace annotation that "
    "would take months. Extending the objective to computed tomography needs an atlas in three dimensions, "
    "and is left to others.",
]
REFERENCES = [
    "[1] Y. Zhang, H. Jiang, Y. Miura, C. D. Manning, and C. P. Langlotz, “Contrastive learning of medical "
    "visual representations from paired images and text,” in Machine Learning for Healthcare, 2022, pp. 2\u201325.",
    "[2] Z. Wang, Z. Wu, D. Agarwal, and J. Sun, “MedCLIP: Contrastive learning from unpaired medical images "
    "and text,” in EMNLP, 2022. doi:10.18653/v1/2022.emnlp-main.256.",
    "[3] C. Wu, X. Zhang, Y. Zhang, Y. Wang, and W. Xie, “MedKLIP: Medical knowledge enhanced language-image "
    "pre-training for X-ray diagnosis,” arXiv preprint arXiv:2301.02228, 2023.",
    "[4] A. Nobody and B. Person, “A report that is in no collection at all,” Journal of Invented Results, "
    "vol. 3, no. 1, pp. 1\u20139, 2019.",
    "[5] S.-C. Huang, L. Shen, M. P. Lungren, and S. Yeung, “GLoRIA: A multimodal global-local representation"
    " learning framework for label-efficient medical image recognition,” in ICCV, 2021, pp. 3942\u20133951.",
]
ABSTRACT = (
    "We align sentences of radiology reports with regions of the image that an atlas proposes. On four public"
    " data sets the objective raises zero-shot accuracy by 5.6 points on average, at no cost of annotation. "
    "Code is available."
)
TITLE = "Sentences and Regions: Fine Alignment of Radiographs and Reports with a Public Atlas"
AUTHORS = "Ada Lindqvist, Bruno Okafor, and Chiara de Santis"


def paper(**changes: Any) -> Paper:
    """The paper most tests read: two columns, three pages, five references."""
    sections = [
        ("1 Introduction", INTRODUCTION + INTRODUCTION[:2]),
        ("2 Methods", METHODS),
        ("2.1 Training details", METHODS[::-1]),
        ("3 Results", RESULTS + RESULTS),
        ("4 Discussion", DISCUSSION),
    ]
    values: dict[str, Any] = {"title": TITLE, "authors": AUTHORS, "abstract": ABSTRACT}
    return Paper(**{**values, "sections": sections, "references": REFERENCES, **changes})
