"""Which script texts are written in."""

import re
from collections.abc import Sequence

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
# Words of a European text hold none; of a Chinese one even titles and names are mostly such.
_CHINESE_SHARE = 0.2


def is_chinese(texts: Sequence[str]) -> bool:
    """Tell whether texts are written in Chinese characters, which BLEU has to part one by one."""
    characters = sum(len(text) for text in texts)
    found = sum(len(_HAN.findall(text)) for text in texts)
    return found > _CHINESE_SHARE * characters
