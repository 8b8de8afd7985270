"""Data sets, a file each or a family a file. ``bench list datasets`` lists them."""

from bench.core.registry import Registry
from bench.datasets.base import BaseDataset, Dataset, OptionsDataset, TextDataset

datasets: Registry[BaseDataset] = Registry(
    "data set",
    base="bench.datasets.base:BaseDataset",
    builtin={
        "trec6": "bench.datasets.trec6:Trec6",
        "sms_spam": "bench.datasets.sms_spam:SmsSpam",
        "rotten_tomatoes": "bench.datasets.movie_reviews:RottenTomatoes",
        "imdb": "bench.datasets.movie_reviews:Imdb",
        "bbc_news": "bench.datasets.bbc_news:BbcNews",
        "boolq": "bench.datasets.boolq:BoolQ",
        "sarcasm": "bench.datasets.sarcasm:Sarcasm",
        "multiemo": "bench.datasets.multiemo:MultiEmo",
        "vitaminc": "bench.datasets.vitaminc:VitaminC",
        "squad": "bench.datasets.squad:Squad",
        "squad_wiki": "bench.datasets.squad:SquadWiki",
        "squad_nyt": "bench.datasets.squad:SquadNyt",
        "squad_reddit": "bench.datasets.squad:SquadReddit",
        "squad_amazon": "bench.datasets.squad:SquadAmazon",
        "natural_instructions": "bench.datasets.natural_instructions:NaturalInstructions",
        "asdiv": "bench.datasets.asdiv:Asdiv",
        "xsum": "bench.datasets.xsum:XSum",
        "e2e_nlg": "bench.datasets.e2e_nlg:E2eNlg",
        "social_iqa": "bench.datasets.social_iqa:SocialIqa",
        "local": "bench.datasets.local:Local",
        "hub": "bench.datasets.hub:Hub",
    },
)

__all__ = ["BaseDataset", "Dataset", "OptionsDataset", "TextDataset", "datasets"]
