use h2watch::model::PacketBatch;
use h2watch::source::{OpenedInputs, Source};

/// Few bytes of compressed input can hold very many packets.
const BATCHES: usize = 16;

/// Reads a capture file, once as it is and once merged with itself.
pub(crate) fn capture(bytes: &[u8]) {
    let alone = read(&[bytes]);
    let twice = read(&[bytes, bytes]);
    if let (Some(alone), Some(twice)) = (alone, twice) {
        assert_eq!(2 * alone.packets, twice.packets, "merging loses packets");
        assert_eq!(2 * alone.lost, twice.lost, "merging loses counts");
    }
}

struct Seen {
    packets: usize,
    lost: u64,
}

/// `None`: it goes on for too long.
fn read(captures: &[&[u8]]) -> Option<Seen> {
    let given = captures.iter().map(|bytes| ("capture".to_owned(), bytes.to_vec())).collect();
    let mut inputs = OpenedInputs::given(given);
    inputs.secrets(&mut |_| {});
    let mut seen = Seen { packets: 0, lost: 0 };
    let mut source = inputs.source();
    let mut batch = PacketBatch::default();
    for _ in 0..BATCHES {
        let more = source.fill(&mut batch).expect("memory does not fail");
        assert_eq!(more, !batch.packets.is_empty());
        assert!(batch.packets.len() <= h2watch::source::BATCH_PACKETS);
        let bytes: usize = batch.packets.iter().map(|packet| packet.data.chunk(&batch.arena).len()).sum();
        assert_eq!(bytes, batch.arena.len(), "every byte belongs to a packet");
        assert!(batch.secrets.is_empty(), "these were given before");
        seen.packets += batch.packets.len();
        seen.lost = seen.lost.saturating_add(batch.lost);
        if !more {
            let progress = inputs.progress();
            assert!(progress.total.is_some_and(|total| progress.done <= total));
            assert!(inputs.notes().len() <= 8 * captures.len());
            return Some(seen);
        }
    }
    None
}
