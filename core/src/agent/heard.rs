//! What is warned of, for the tests.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::{Layer, Registry};

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Layer<Registry> for Heard {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, Registry>) {
        event.record(&mut self.clone());
    }
}

impl Visit for Heard {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0.lock().expect("no panic").push(format!("{value:?}"));
        }
    }
}

/// Returns the messages of what `work` warns of.
pub(super) fn warnings_of(work: impl FnOnce()) -> Vec<String> {
    let heard = Heard::default();
    tracing::subscriber::with_default(Registry::default().with(heard.clone()), work);
    heard.0.lock().expect("no panic").clone()
}
