"""The report as one page of HTML: no network, no server, one file that works from a disk and on a phone."""

from bench.reporting.page.build import html_page

__all__ = ["html_page"]
