use crate::model::Stats;
