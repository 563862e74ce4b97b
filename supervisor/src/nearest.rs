//! "Did you mean …?": names of plugins, verbs, methods and tools.

/// The candidate nearest to `word`, if one is near enough to have been meant.
#[must_use]
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let bound = (word.chars().count() / 3).max(1);
    let word = word.to_lowercase();
    candidates
        .map(|candidate| (strsim::osa_distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_one_that_could_have_been_meant() {
        let names = ["status", "start", "stop", "restart"];
        assert_eq!(nearest("statsu", names.into_iter()), Some("status"));
        assert_eq!(nearest("STOP", names.into_iter()), Some("stop"));
        assert_eq!(nearest("x", ["status"].into_iter()), None);
    }
}
