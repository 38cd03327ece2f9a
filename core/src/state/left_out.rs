//! Requests that are sent without the credential, of which users are told.

use arc_swap::ArcSwap;

use crate::error::Error;
use crate::origin::Destination;

/// The most origins of which users are told: a program that asks any number of hosts for files must
/// not fill its log.
const MOST: usize = 16;

/// The places of which the user was told.
#[derive(Debug, Default)]
pub(crate) struct LeftOut(ArcSwap<Vec<Destination>>);

impl LeftOut {
    /// Returns what to tell of `destination`; none if the user was told before, or of many others.
    pub(crate) fn news(&self, destination: &Destination) -> Option<Error> {
        let is_told = |told: &Vec<Destination>| told.len() >= MOST || told.contains(destination);
        if is_told(&self.0.load()) {
            return None;
        }
        let before = self.0.rcu(|told| {
            let mut told = Vec::clone(told);
            if !is_told(&told) {
                told.push(destination.clone());
            }
            told
        });
        (!is_told(&before)).then(|| destination.left_out())
    }
}
