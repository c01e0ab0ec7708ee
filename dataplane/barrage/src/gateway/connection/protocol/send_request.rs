//! What a client wants to send, beyond its text: checked, and as an entry of the log.

use barrage_proto::{
    Position,
    log::{Entry, Gift, Reply},
    v2::{
        UncheckedSend,
        pb::{self, Mode, Size},
    },
};
use bytes::Bytes;

use super::refusal::SendRefusal;
use crate::gateway::metrics::Refusal;
use barrage_core::{
    link::Style,
    token::{ANONYMOUS, Identity, Role},
};

/// The most that a gift can count: a hundred thousand of them do not overflow what scores are exact in (2^53).
const GIFT_VALUE_MAX: u64 = 1_000_000_000;
const GIFT_NAME_BYTES_MAX: usize = 64;
const COLOUR_MAX: u32 = 0xff_ffff;

/// One danmaku that a client wants to send.
#[derive(Default)]
pub(super) struct SendRequest {
    /// Counted by the gateway for version 1.
    pub(super) seq: u64,
    pub(super) oldest_pending: u64,
    pub(super) retry_age_ms: u32,
    pub(super) sent_ms: i64,
    pub(super) content: Bytes,
    pub(super) style: Style,
    pub(super) reply: Option<Reply>,
    /// With who gives.
    pub(super) gift: Option<(u64, Gift)>,
}

impl SendRequest {
    /// What a version 2 client wants.
    ///
    /// # Errors
    /// Why it cannot be; it may not be tried again as it is.
    pub(super) fn new(
        sender: &Identity,
        send: UncheckedSend,
        author_of: impl FnOnce(Position) -> Option<u64>,
    ) -> Result<Self, SendRefusal> {
        let UncheckedSend { seq, oldest_pending, sent_ms, content, retry_age_ms, mode, colour, size, reply_to, gift } =
            send;
        let style = style(mode, colour, size).ok_or((Refusal::BadStyle, 0))?;
        let gift = gift.map(|gift| check_gift(sender, gift)).transpose()?;
        let answer = |id: pb::DanmakuId| {
            let user = author_of(id.into()).ok_or((Refusal::UnknownReply, 0))?;
            Ok(Reply { partition: id.partition, offset: id.offset, index: id.index, user })
        };
        let reply = reply_to.map(answer).transpose()?;
        Ok(Self { seq, oldest_pending, retry_age_ms, sent_ms, content: content.into(), style, reply, gift })
    }

    /// As the log has it, of who sends it or, of a gift, who gives it.
    pub(super) fn into_entry(self, identity: &Identity, session: u64) -> Entry {
        let sender = pb::Role::from(identity.role);
        let (user, role, gift) = match self.gift {
            Some((user, gift)) => (user, pb::Role::Viewer, Some(gift)),
            None => (identity.user, sender, None),
        };
        Entry {
            user,
            session,
            seq: self.seq,
            retry: self.retry_age_ms > 0,
            role: i32::from(role).cast_unsigned(),
            sent_ms: self.sent_ms,
            content: self.content,
            mode: i32::from(self.style.mode).cast_unsigned(),
            colour: self.style.colour,
            size: i32::from(self.style.size).cast_unsigned(),
            reply: self.reply,
            gift: gift.map(Box::new),
            ..Entry::default()
        }
    }
}

fn style(mode: i32, colour: u32, size: i32) -> Option<Style> {
    let (mode, size) = (Mode::try_from(mode).ok()?, Size::try_from(size).ok()?);
    (colour <= COLOUR_MAX).then_some(Style { mode, colour, size })
}

fn check_gift(identity: &Identity, gift: pb::GiftOrder) -> Result<(u64, Gift), SendRefusal> {
    if identity.role != Role::Service {
        return Err((Refusal::GiftNotAllowed, 0));
    }
    let pb::GiftOrder { user, value, name, count, super_chat } = gift;
    let named = super_chat == name.is_empty() && name.len() <= GIFT_NAME_BYTES_MAX;
    if user == ANONYMOUS || !(1..=GIFT_VALUE_MAX).contains(&value) || !named {
        return Err((Refusal::BadGift, 0));
    }
    Ok((user, Gift { value, name, count: count.max(1), super_chat }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gifts_are_of_services_and_in_bounds() {
        let service = Identity { user: 1, role: Role::Service, send: true };
        let rocket = pb::GiftOrder { user: 7, value: 5, name: "rocket".into(), count: 0, super_chat: false };
        let of = |identity: &Identity, change: fn(&mut pb::GiftOrder)| {
            let mut gift = rocket.clone();
            change(&mut gift);
            check_gift(identity, gift).map(|(user, gift)| (user, gift.count)).map_err(|(reason, _)| reason)
        };
        assert_eq!(of(&service, |_| {}), Ok((7, 1)));
        for role in [Role::Viewer, Role::Moderator, Role::Host] {
            assert_eq!(of(&Identity { role, ..service }, |_| {}), Err(Refusal::GiftNotAllowed));
        }
        let wrong: [fn(&mut pb::GiftOrder); 6] = [
            |gift| gift.user = 0,
            |gift| gift.value = 0,
            |gift| gift.value = GIFT_VALUE_MAX + 1,
            |gift| gift.value = u64::MAX,
            |gift| gift.name.clear(),
            |gift| gift.name = "x".repeat(GIFT_NAME_BYTES_MAX + 1),
        ];
        for change in wrong {
            assert_eq!(of(&service, change), Err(Refusal::BadGift));
        }
        assert_eq!(of(&service, |gift| gift.super_chat = true), Err(Refusal::BadGift), "a super chat has no name");
    }

    #[test]
    fn styles_that_do_not_exist_are_none() {
        assert_eq!(style(3, COLOUR_MAX, 2), Some(Style { mode: Mode::Reverse, colour: COLOUR_MAX, size: Size::Large }));
        for (mode, colour, size) in [(4, 0, 0), (-1, 0, 0), (0, COLOUR_MAX + 1, 0), (0, 0, 3)] {
            assert_eq!(style(mode, colour, size), None);
        }
    }
}
