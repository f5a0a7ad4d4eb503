"""What goes over the wire about offers: prices that sellers name themselves."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from airback.api.documents import ClientRef, Fen, MaskedNumber, Number, Ppm, Request, SellerRef
from airback.domain.ids import public
from airback.domain.numbers import mask
from airback.engine.offer import OfferAsk
from airback.store.offers import StoredOffer

Net = Annotated[Fen | None, Meta(description="The least the seller wants to receive, in fen; or `net_ppm`.")]
NetPpm = Annotated[Ppm | None, Meta(description="The same in ppm of face value.")]


class OfferRequest(Request, frozen=True, forbid_unknown_fields=True):
    """A price that a seller names for a balance, and until when it rests."""

    number: Number
    proof: Annotated[str, Meta(description="The proof that the number is the seller's, of now.")]
    face_fen: Fen
    deadline_at: Annotated[
        datetime, Meta(description="At least 5 minutes ahead, at most 72 hours from the proof.")
    ]
    payee_account: Annotated[str, Meta(examples=["13800138000"])]
    payee_name: Annotated[str, Meta(description="Name of the account's holder.", examples=["王小明"])]
    seller_ref: SellerRef
    agreement: Annotated[
        str, Meta(description="Version of the agreement that the seller accepted.", examples=["2026-11"])
    ] = ""
    net_fen: Net = None
    net_ppm: NetPpm = None
    rail: str = "alipay"
    client_ref: ClientRef | None = None
    notify_number: Annotated[str | None, Meta(description="Who is told; the number itself if left out.")] = (
        None
    )
    language: Literal["zh", "en"] = "zh"

    def ask(self) -> OfferAsk:
        """As the engine takes it."""
        return OfferAsk(
            number=self.number,
            proof=self.proof,
            face_fen=self.face_fen,
            deadline_at=self.deadline_at,
            rail=self.rail,
            payee_account=self.payee_account,
            payee_name=self.payee_name,
            seller_ref=self.seller_ref,
            language=self.language,
            agreement=self.agreement,
            net_fen=self.net_fen,
            net_ppm=self.net_ppm,
            client_ref=self.client_ref,
            notify_number=self.notify_number,
        )


class OfferChange(Request, frozen=True, forbid_unknown_fields=True):
    """Another price, another deadline, or both."""

    net_fen: Net = None
    net_ppm: NetPpm = None
    deadline_at: datetime | None = None


class OfferDocument(msgspec.Struct, frozen=True):
    """An offer as it stands. `order`: what it became when a demand met it."""

    id: Annotated[str, Meta(examples=["off_2QV4W5J0M0001"])]
    state: Annotated[
        Literal["resting", "met", "withdrawn", "expired"], Meta(description="`resting` until it ends.")
    ]
    seller_ref: str
    client_ref: str | None
    carrier: str
    number: MaskedNumber
    face_fen: Fen
    net_fen: Fen
    net_ppm: Ppm
    rail: str
    deadline_at: datetime
    created_at: datetime
    order: str | None


class Offers(msgspec.Struct, frozen=True):
    """Offers, newest first; `next` is the cursor of the following page."""

    offers: list[OfferDocument]
    next: str | None


def offer_document(offer: StoredOffer) -> OfferDocument:
    """An offer as its client reads it."""
    return OfferDocument(
        public("off", offer.id),
        offer.state.value,
        offer.seller_ref,
        offer.client_ref,
        offer.carrier,
        mask(offer.number),
        offer.face_fen,
        offer.net_fen,
        offer.net_ppm,
        offer.rail,
        offer.deadline_at,
        offer.created_at,
        None if offer.order_id is None else public("ord", offer.order_id),
    )
