use super::{ErrorCode, ServerCounts, Writer};

/// RST_STREAM and GOAWAY frames that programs in the kernel counted by code, from the beginning of the run. They name no request, and
/// are counts of their own: the same frames may have been read as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelResets {
    counts: [[[u64; ServerCounts::CODES]; 2]; 2],
    /// They are all that there is: nothing was handed up to be read.
    pub alone: bool,
}

/// Which frame the kernel counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelFrame {
    /// RST_STREAM.
    RstStream,
    /// GOAWAY.
    GoAway,
}

impl KernelFrame {
    /// Both.
    pub const ALL: [Self; 2] = [Self::RstStream, Self::GoAway];

    /// The name in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RstStream => "RST_STREAM",
            Self::GoAway => "GOAWAY",
        }
    }
}

impl KernelResets {
    /// None yet. `alone`: they are all that there will be.
    #[must_use]
    pub fn new(alone: bool) -> Self {
        Self { counts: Default::default(), alone }
    }

    /// Adds to the frames with a code (`None`: one without a name) by a writer.
    pub fn add(&mut self, frame: KernelFrame, code: Option<ErrorCode>, by: Writer, count: u64) {
        let of = self.counts.get_mut(frame as usize).and_then(|by_writer| by_writer.get_mut(by as usize));
        if let Some(slot) = of.and_then(|codes| codes.get_mut(ServerCounts::reset(code))) {
            *slot = slot.saturating_add(count);
        }
    }

    /// Every count, 0 or not: frame, code (`None`: those without a name), writer.
    pub fn iter(&self) -> impl Iterator<Item = (KernelFrame, Option<ErrorCode>, Writer, u64)> {
        let codes = || ErrorCode::ALL.iter().copied().map(Some).chain([None]);
        let of = move |frame| codes().flat_map(move |code| [Writer::Local, Writer::Peer].map(|by| (frame, code, by)));
        KernelFrame::ALL.into_iter().flat_map(of).map(|(frame, code, by)| (frame, code, by, self.get(frame, code, by)))
    }

    /// Frames with a code by a writer.
    #[must_use]
    pub fn get(&self, frame: KernelFrame, code: Option<ErrorCode>, by: Writer) -> u64 {
        let of = self.counts.get(frame as usize).and_then(|by_writer| by_writer.get(by as usize));
        of.and_then(|codes| codes.get(ServerCounts::reset(code))).copied().unwrap_or(0)
    }
}
