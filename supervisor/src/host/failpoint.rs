//! Places where a test build (feature `failpoints`) panics because a plugin says so, by a notification
//! `$/failpoint/PLACE`. In any other build nothing of this exists.

#[cfg(feature = "failpoints")]
mod built {
    use std::sync::{Mutex, PoisonError};

    static ARMED: Mutex<Option<(String, String)>> = Mutex::new(None);

    /// A plugin has sent a notification of this method.
    pub(in crate::host) fn arm(method: &str, plugin: &str) {
        if let Some(place) = method.strip_prefix("$/failpoint/") {
            let place = (place.to_owned(), plugin.to_owned());
            *ARMED.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
        }
    }

    /// Panics, once, if this is the place that was armed; `plugin` where the place is that plugin's own.
    pub(in crate::host) fn reach(place: &str, plugin: Option<&str>) {
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        let here = armed
            .as_ref()
            .is_some_and(|(at, of)| at == place && plugin.is_none_or(|plugin| plugin == of));
        if here {
            *armed = None;
            drop(armed);
            panic!("failpoint {place}");
        }
    }
}

#[cfg(feature = "failpoints")]
pub(super) use built::{arm, reach};

#[cfg(not(feature = "failpoints"))]
#[inline]
pub(super) fn arm(_method: &str, _plugin: &str) {}

#[cfg(not(feature = "failpoints"))]
#[inline]
pub(super) fn reach(_place: &str, _plugin: Option<&str>) {}
