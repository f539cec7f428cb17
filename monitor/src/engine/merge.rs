use crate::model::Event;

/// The events of packets before `limit` (`None`: all), the rest of which waits in `ahead` for the shards that are behind.
pub(super) fn before(
    limit: Option<u64>,
    ahead: &mut Vec<Vec<(u64, Event)>>,
    mut lists: Vec<Vec<(u64, Event)>>,
) -> Vec<Vec<(u64, Event)>> {
    if limit.is_none() && ahead.is_empty() {
        return lists;
    }
    ahead.resize_with(lists.len().max(ahead.len()), Vec::new);
    for (list, ahead) in lists.iter_mut().zip(ahead.iter_mut()) {
        let mut whole = std::mem::take(ahead);
        // What a shard tells at the end of a batch belongs to no packet.
        let floor = whole.last().map_or(0, |&(ordinal, _)| ordinal);
        whole.extend(list.drain(..).map(|(ordinal, event)| (ordinal.max(floor), event)));
        let rest = limit.map_or(whole.len(), |limit| whole.partition_point(|&(ordinal, _)| ordinal < limit));
        *ahead = whole.split_off(rest);
        *list = whole;
    }
    if limit.is_none() {
        ahead.clear();
    }
    lists
}

/// Hands over the events of all shards in the order of the packets that gave rise to them. Each list is in that order already, and
/// a packet belongs to one shard, so the order does not depend on how shards are spread over threads.
pub(super) fn in_order(lists: Vec<Vec<(u64, Event)>>, mut take: impl FnMut(Event)) {
    let mut lists: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
    loop {
        let mut first: Option<(u64, usize)> = None;
        let mut limit = u64::MAX;
        for (index, list) in lists.iter().enumerate() {
            let Some(&(ordinal, _)) = list.as_slice().first() else { continue };
            match first {
                Some((least, _)) if least <= ordinal => limit = limit.min(ordinal),
                Some((least, _)) => {
                    limit = least;
                    first = Some((ordinal, index));
                }
                None => first = Some((ordinal, index)),
            }
        }
        let Some(list) = first.and_then(|(_, index)| lists.get_mut(index)) else { return };
        let least = first.map_or(0, |(ordinal, _)| ordinal);
        while list.as_slice().first().is_some_and(|&(ordinal, _)| ordinal < limit || ordinal == least)
            && let Some((_, event)) = list.next()
        {
            take(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::in_order;
    use crate::model::{ConnectionId, Event, Kind, Time};

    fn event(ordinal: u64, connection: u64) -> (u64, Event) {
        (ordinal, Event { time: Time(ordinal), connection: ConnectionId(connection), kind: Kind::Lit })
    }

    #[test]
    fn merges_by_packet_and_keeps_the_order_inside_a_packet() {
        let lists = vec![
            vec![event(1, 10), event(1, 11), event(7, 12)],
            vec![event(2, 20), event(3, 21), event(8, 22), event(8, 23)],
            vec![],
            vec![event(4, 30)],
        ];
        let mut order = Vec::new();
        in_order(lists, |event| order.push(event.connection.0));
        assert_eq!(order, [10, 11, 20, 21, 30, 12, 22, 23]);
    }
}
