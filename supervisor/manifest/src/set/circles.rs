//! Circles of `after` and `requires`.

use std::collections::{BTreeMap, VecDeque};

use crate::manifest::{Manifest, Need};
use crate::problem::{Place, Problem};

/// For each member of a circle, the problem that takes it out. Members of one knot of circles share one problem, which
/// shows the shortest way round.
pub(super) fn find(
    manifests: &[Manifest],
    twins: &BTreeMap<usize, Vec<Problem>>,
) -> BTreeMap<usize, Vec<Problem>> {
    // Of two manifests with one id nobody knows which one is meant.
    let by_id: BTreeMap<&str, usize> = manifests
        .iter()
        .enumerate()
        .filter(|(index, _)| !twins.contains_key(index))
        .map(|(index, manifest)| (&*manifest.id, index))
        .collect();
    let edges: Vec<Vec<(usize, &Need)>> = manifests
        .iter()
        .map(|manifest| {
            let known = |need| by_id.get(Need::id(need)).map(|index| (*index, need));
            manifest.needs.iter().filter_map(known).collect()
        })
        .collect();
    let mut guilty = BTreeMap::new();
    for knot in knots(&edges) {
        let Some(circle) = shortest(&edges, &knot) else { continue };
        let problem = describe(manifests, &circle, knot.len());
        for index in knot {
            guilty.insert(index, vec![problem.clone()]);
        }
    }
    guilty
}

impl Need {
    fn id(&self) -> &str {
        &self.id
    }
}

type Edges<'a> = [Vec<(usize, &'a Need)>];

/// Tarjan's strongly connected components, without recursion: a chain of thousands must not exhaust the stack.
fn knots(edges: &Edges<'_>) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let count = edges.len();
    let (mut order, mut low) = (vec![UNSEEN; count], vec![UNSEEN; count]);
    let mut on_stack = vec![false; count];
    let (mut stack, mut next, mut found) = (Vec::new(), 0, Vec::new());
    for root in 0..count {
        if order[root] != UNSEEN {
            continue;
        }
        let mut work = vec![(root, 0)];
        while let Some((node, edge)) = work.pop() {
            if edge == 0 {
                order[node] = next;
                low[node] = next;
                next += 1;
                stack.push(node);
                on_stack[node] = true;
            }
            if let Some((to, _)) = edges[node].get(edge) {
                work.push((node, edge + 1));
                if order[*to] == UNSEEN {
                    work.push((*to, 0));
                } else if on_stack[*to] {
                    low[node] = low[node].min(order[*to]);
                }
                continue;
            }
            if low[node] == order[node] {
                let start = stack.iter().rposition(|member| *member == node).unwrap_or(0);
                let members = stack.split_off(start);
                for member in &members {
                    on_stack[*member] = false;
                }
                found.push(members);
            }
            if let Some((parent, _)) = work.last() {
                low[*parent] = low[*parent].min(low[node]);
            }
        }
    }
    found
}

/// The shortest way round within a knot, as (from, need) pairs; `None` for a single plugin that does not need itself.
fn shortest<'a>(edges: &Edges<'a>, knot: &[usize]) -> Option<Vec<(usize, &'a Need)>> {
    let inside: BTreeMap<usize, ()> = knot.iter().map(|member| (*member, ())).collect();
    // Beginning at each member would be quadratic in a knot of thousands; a few give a short enough way.
    let starts = knot.iter().copied().min().into_iter().chain(knot.iter().copied().take(32));
    starts.filter_map(|start| way_back(edges, &inside, start)).min_by_key(Vec::len)
}

/// Breadth first from `start` back to itself.
fn way_back<'a>(
    edges: &Edges<'a>,
    inside: &BTreeMap<usize, ()>,
    start: usize,
) -> Option<Vec<(usize, &'a Need)>> {
    let mut from: BTreeMap<usize, (usize, &'a Need)> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for (to, need) in &edges[node] {
            if *to == start {
                let mut way = vec![(node, *need)];
                let mut at = node;
                while at != start {
                    let (before, need) = from.get(&at).copied()?;
                    way.push((before, need));
                    at = before;
                }
                way.reverse();
                return Some(way);
            }
            if inside.contains_key(to) && !from.contains_key(to) {
                from.insert(*to, (node, need));
                queue.push_back(*to);
            }
        }
    }
    None
}

fn describe(manifests: &[Manifest], circle: &[(usize, &Need)], knot: usize) -> Problem {
    let keys =
        match (circle.iter().any(|(_, n)| n.required), circle.iter().any(|(_, n)| !n.required)) {
            (true, false) => "`requires` goes",
            (false, _) => "`after` goes",
            (true, true) => "`after` and `requires` go",
        };
    let mut circle = circle.to_vec();
    // Begin with the first name, so that the words do not depend on the order of files.
    let first = (0..circle.len()).min_by_key(|at| manifests[circle[*at].0].id.clone()).unwrap_or(0);
    circle.rotate_left(first);
    let mut path: Vec<&str> = circle.iter().map(|(index, _)| &*manifests[*index].id).collect();
    path.push(path[0]);
    let mut problem = Problem::error(format!("{keys} round in a circle: {}", shorten(&path)));
    let mut places: Vec<Place> = circle.iter().take(8).map(|(_, need)| need.spot.place()).collect();
    problem.place = Some(places.remove(0));
    problem.also = places;
    if knot > circle.len() {
        problem =
            problem.cause(format!("{} more plugins hang in the same knot", knot - circle.len()));
    }
    problem
}

/// A way of hundreds would fill screens: its ends are enough to find it.
fn shorten(path: &[&str]) -> String {
    if path.len() <= 12 {
        return path.join(" -> ");
    }
    let (head, tail) = (&path[..6], &path[path.len() - 4..]);
    format!("{} -> … -> {}", head.join(" -> "), tail.join(" -> "))
}
