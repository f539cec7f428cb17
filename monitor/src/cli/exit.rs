use std::process::ExitCode;

use crate::model::Verdict;

/// What the program's exit status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: enough was seen, and no request was left without a complete response.
    Nothing,
    /// 1: a case was found, of either kind.
    Found,
    /// 2: wrong usage.
    Usage,
    /// 3: input could not be read (in part, and the rest has no case), or output could not be written.
    Unreadable,
    /// 4: no case, but too little could be seen to say "nothing".
    Inconclusive,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn status(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Found => 1,
            Self::Usage => 2,
            Self::Unreadable => 3,
            Self::Inconclusive => 4,
        }
    }

    /// What a run over whole (or `damaged`) input says. A case that was found stays found whatever else was damaged; without one,
    /// damage forbids saying "nothing".
    #[must_use]
    pub const fn of(verdict: Verdict, damaged: bool) -> Self {
        match verdict {
            Verdict::Found => Self::Found,
            _ if damaged => Self::Unreadable,
            Verdict::Nothing => Self::Nothing,
            Verdict::Inconclusive(_) => Self::Inconclusive,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}
