//! Calls on items of the keyring, one at a time for each item: a question that the system leaves open
//! costs one thread, however often the item is asked for meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::item::KeyringItem;
use crate::process::{Lane, PerProcess};

/// The lane of each item that was asked for.
#[derive(Debug)]
pub(super) struct ItemLanes(PerProcess<Mutex<HashMap<KeyringItem, Arc<Lane>>>>);

impl ItemLanes {
    pub(super) const fn new() -> Self {
        Self(PerProcess::new())
    }

    /// The lane of `item`.
    pub(super) fn of(&self, item: &KeyringItem) -> Arc<Lane> {
        let lanes = self.0.get_or_default();
        let mut lanes = lanes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lanes.entry(item.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_question_that_is_left_open_holds_up_one_thread_and_no_other_item() {
        let lanes = ItemLanes::new();
        let [asked, other] = ["/asked", "/other"].map(|home| KeyringItem::login(Path::new(home)));
        let (answer, question) = mpsc::channel::<()>();
        let threads = Arc::new(Mutex::new(HashSet::new()));
        let call = |question: Option<mpsc::Receiver<()>>| {
            let threads = Arc::clone(&threads);
            move || {
                threads.lock().expect("no panic").insert(thread::current().id());
                if let Some(question) = question {
                    question.recv().unwrap_or_default();
                }
            }
        };
        let patience = Duration::from_millis(20);
        let lane = lanes.of(&asked);
        assert!(tokio::time::timeout(patience, lane.run(call(Some(question)))).await.is_err());
        for _ in 0..3 {
            let lane = lanes.of(&asked);
            assert!(tokio::time::timeout(patience, lane.run(call(None))).await.is_err());
        }
        lanes.of(&other).run(call(None)).await.expect("an answer");
        answer.send(()).expect("the question is open");
        lanes.of(&asked).run(call(None)).await.expect("an answer");
        assert_eq!(threads.lock().expect("no panic").len(), 2, "one for each item");
    }
}
