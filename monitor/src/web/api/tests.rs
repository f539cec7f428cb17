use super::Part;
