use super::feed::Feed;
use super::pcapng::{Block, Kind, Pcapng, SECTION_HEADER};
use super::step::MAX_BLOCK;

/// Bytes between two returns of a mapping's pages.
const STRIDE: u64 = 4 << 20;

/// Gives the key log text of every Decryption Secrets Block to `take`, from block header to block header. What is wrong with the file
/// is left for the reading of its packets to say.
pub(super) fn secrets(mut feed: Feed<'_>, window: usize, take: &mut dyn FnMut(&[u8])) {
    if !matches!(feed.want(12), Ok(true)) || !feed.bytes().starts_with(&SECTION_HEADER) {
        return;
    }
    let mut pcapng = Pcapng::new();
    let mut released = 0;
    loop {
        let (kind, len) = match pcapng.block(feed.bytes()) {
            Block::Need(bytes) if matches!(feed.want(bytes), Ok(true)) => continue,
            Block::Is { kind, len } => (kind, len),
            Block::Need(_) | Block::Damage(_) => break,
        };
        if kind == Kind::Secrets && len <= MAX_BLOCK {
            if !matches!(feed.want(len as usize), Ok(true)) {
                if let Some(text) = pcapng.cut_secrets(feed.bytes()) {
                    take(text);
                }
                break;
            }
            let block = feed.bytes().get(..len as usize).unwrap_or_default();
            if let Some((offset, len)) = pcapng.secrets(block) {
                take(block.get(offset..offset + len).unwrap_or_default());
            }
        }
        if !matches!(feed.skip(u64::from(len)), Ok(true)) {
            break;
        }
        if feed.offset() - released >= STRIDE {
            released = feed.offset();
            feed.release(released, window);
        }
    }
    feed.release_all();
}
