"""Refusals of rate cards and price lists, kept apart from `airback.domain.refusals`, which holds them all."""

from typing import Final

from airback.domain.refusal import Refusal

PRICE_REFUSALS: Final = (
    Refusal(
        "card_rate_above_whole",
        422,
        "价格表中有比率超过 100 %。",
        "A rate of the price list is above 100 %.",
        "请把所指的比率改为不超过 100 %(百万分之 1 000 000)。",
        "Bring the rate that is named to 100 % (1 000 000 parts per million) or below.",
    ),
    Refusal(
        "card_source_missing",
        422,
        "价格表中有因素没有注明来源。",
        "A factor of the price list has no source.",
        "请在 sources 中写明来源,并在该因素的 source 中引用。",
        "State the source in `sources`, and name it as the factor's `source`.",
    ),
    Refusal(
        "card_bands_overlap",
        422,
        "价格表的档位相互重叠。",
        "Bands of the price list overlap.",
        "请使各档界限逐档递增。",
        "Let each band's limit lie above that of the band before it.",
    ),
    Refusal(
        "card_bands_gap",
        422,
        "价格表的档位没有覆盖全部数值。",
        "Bands of the price list leave values without a band.",
        "请让第一档从零起,最后一档不设上限。",
        "Let the first band begin at zero and the last have no end.",
    ),
    Refusal(
        "card_tiers_fall",
        422,
        "价格表中应当递增的档位出现下降。",
        "Tiers of the price list fall where they must rise.",
        "请使所指档位不低于前一档。",
        "Let the tier that is named not lie below the one before it.",
    ),
    Refusal(
        "exposure_full",
        429,
        "未使用的报价已达上限。",
        "Too much is promised in quotes that are not used yet.",
        "请先使用已有的报价,或待其过期(约十分钟)后再询价。",
        "Use the quotes you have, or ask again when they have expired, which takes about ten minutes.",
    ),
)
