//! The tables of the `data` demo server. How they are queried is in `data`.

use serde_json::{Map, Value};

use Cell::{Integer, Real, Text};

pub(super) struct DemoTable {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) columns: &'static [Column],
    /// As many cells each as there are columns.
    rows: &'static [&'static [Cell]],
}

pub(super) struct Column {
    pub(super) name: &'static str,
    /// A type of JSON Schema.
    pub(super) kind: &'static str,
    pub(super) description: &'static str,
}

enum Cell {
    Text(&'static str),
    Integer(i64),
    Real(f64),
}

pub(super) static TABLES: [DemoTable; 2] = [PLANETS, ELEMENTS];

pub(super) fn find(name: &str) -> Option<&'static DemoTable> {
    TABLES.iter().find(|table| table.name == name)
}

const PLANETS: DemoTable = DemoTable {
    name: "planets",
    title: "Planets",
    description: "The planets of the solar system, from the Sun outwards.",
    columns: &[
        Column { name: "name", kind: "string", description: "Name" },
        Column { name: "class", kind: "string", description: "terrestrial, gas giant or ice giant" },
        Column { name: "radius_km", kind: "number", description: "Mean radius in kilometres" },
        Column { name: "distance_au", kind: "number", description: "Semi-major axis in astronomical units" },
        Column { name: "year_days", kind: "number", description: "Orbital period in days" },
    ],
    rows: &[
        &[Text("Mercury"), Text("terrestrial"), Real(2439.7), Real(0.387), Real(87.97)],
        &[Text("Venus"), Text("terrestrial"), Real(6051.8), Real(0.723), Real(224.7)],
        &[Text("Earth"), Text("terrestrial"), Real(6371.0), Real(1.0), Real(365.26)],
        &[Text("Mars"), Text("terrestrial"), Real(3389.5), Real(1.524), Real(686.98)],
        &[Text("Jupiter"), Text("gas giant"), Real(69911.0), Real(5.203), Real(4332.59)],
        &[Text("Saturn"), Text("gas giant"), Real(58232.0), Real(9.537), Real(10759.22)],
        &[Text("Uranus"), Text("ice giant"), Real(25362.0), Real(19.191), Real(30688.5)],
        &[Text("Neptune"), Text("ice giant"), Real(24622.0), Real(30.07), Real(60182.0)],
    ],
};

const ELEMENTS: DemoTable = DemoTable {
    name: "elements",
    title: "Chemical elements",
    description: "The first ten chemical elements.",
    columns: &[
        Column { name: "number", kind: "integer", description: "Atomic number" },
        Column { name: "symbol", kind: "string", description: "Symbol" },
        Column { name: "name", kind: "string", description: "Name" },
        Column { name: "mass", kind: "number", description: "Standard atomic weight" },
    ],
    rows: &[
        &[Integer(1), Text("H"), Text("Hydrogen"), Real(1.008)],
        &[Integer(2), Text("He"), Text("Helium"), Real(4.0026)],
        &[Integer(3), Text("Li"), Text("Lithium"), Real(6.94)],
        &[Integer(4), Text("Be"), Text("Beryllium"), Real(9.0122)],
        &[Integer(5), Text("B"), Text("Boron"), Real(10.81)],
        &[Integer(6), Text("C"), Text("Carbon"), Real(12.011)],
        &[Integer(7), Text("N"), Text("Nitrogen"), Real(14.007)],
        &[Integer(8), Text("O"), Text("Oxygen"), Real(15.999)],
        &[Integer(9), Text("F"), Text("Fluorine"), Real(18.998)],
        &[Integer(10), Text("Ne"), Text("Neon"), Real(20.18)],
    ],
};

// === impl DemoTable ===

impl DemoTable {
    pub(super) fn uri(&self) -> String {
        format!("data://tables/{}", self.name)
    }

    pub(super) fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// The rows as objects, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = Map<String, Value>> {
        self.rows.iter().map(|cells| {
            let names = self.columns.iter().map(|column| column.name.to_owned());
            names.zip(cells.iter().map(Value::from)).collect()
        })
    }
}

// === impl Cell ===

impl From<&Cell> for Value {
    fn from(cell: &Cell) -> Self {
        match *cell {
            Text(text) => text.into(),
            Integer(integer) => integer.into(),
            Real(real) => real.into(),
        }
    }
}
