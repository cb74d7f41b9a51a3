//! Tables from CSV files: columns by name, as tensors or as categories.

use crate::error::{Error, Kind, Result};
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use std::path::{Path, PathBuf};

/// How [`Table::read`] reads.
#[derive(Clone, Debug)]
pub struct CsvOptions {
    /// What separates fields: a comma.
    pub delimiter: u8,
    /// Whether the first record names the columns: yes. Otherwise they are named by their numbers, from 0.
    pub has_headers: bool,
    /// Whether records of another length, and in [`Table::skip_bad`] of other contents, are left out and counted, instead of
    /// being an error: no.
    pub skip_bad: bool,
}

impl Default for CsvOptions {
    fn default() -> CsvOptions {
        CsvOptions { delimiter: b',', has_headers: true, skip_bad: false }
    }
}

/// A table of text.
#[derive(Clone, Debug)]
pub struct Table {
    path: PathBuf,
    columns: Vec<String>,
    /// Every record with its line.
    records: Vec<(u64, Vec<String>)>,
    skipped: usize,
}

impl Table {
    /// Reads a CSV file.
    ///
    /// ```no_run
    /// use wgrad::data::{CsvOptions, Table};
    /// use wgrad::Device;
    /// let table = Table::read("wine.csv", CsvOptions::default())?;
    /// let x = table.tensor(&["alcohol", "ash"], &Device::cpu())?; // [n, 2]
    /// let (kinds, names) = table.categories("kind")?;
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the file cannot be read, or a record has not as many fields as the first: with file and line.
    pub fn read(path: impl AsRef<Path>, options: CsvOptions) -> Result<Table> {
        let path = path.as_ref().to_path_buf();
        let wrong = |error: csv::Error| {
            let line = error.position().map_or(String::new(), |at| format!(":{}", at.line()));
            Error::with_source(Kind::Data, format!("{}{line}: {error}", path.display()), error)
        };
        let CsvOptions { delimiter, has_headers, skip_bad } = options;
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(has_headers)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_path(&path)
            .map_err(wrong)?;
        let mut columns: Vec<String> = match has_headers {
            true => reader.headers().map_err(wrong)?.iter().map(str::to_string).collect(),
            false => Vec::new(),
        };
        let (mut records, mut skipped) = (Vec::new(), 0);
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(_) if skip_bad => {
                    skipped += 1;
                    continue;
                }
                Err(error) => return Err(wrong(error)),
            };
            if columns.is_empty() {
                columns = (0..record.len()).map(|i| i.to_string()).collect();
            }
            let line = record.position().map_or(0, csv::Position::line);
            if record.len() == columns.len() {
                records.push((line, record.iter().map(str::to_string).collect()));
            } else if skip_bad {
                skipped += 1;
            } else {
                let what = format!("{}:{line}: {} fields, not {}", path.display(), record.len(), columns.len());
                return Err(Error::new(Kind::Data, what));
            }
        }
        Ok(Table { path, columns, records, skipped })
    }

    /// How many records there are.
    #[allow(clippy::len_without_is_empty, reason = "a table without records is no special case")]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How many records were left out.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Leaves out the records in which one of these columns is no number, and counts them.
    ///
    /// # Errors
    /// If there is no column of a name.
    pub fn skip_bad(mut self, columns: &[&str]) -> Result<Table> {
        let places = columns.iter().map(|name| self.place(name)).collect::<Result<Vec<_>>>()?;
        let before = self.records.len();
        self.records.retain(|(_, record)| places.iter().all(|&i| record[i].parse::<f32>().is_ok_and(|x| !x.is_nan())));
        self.skipped += before - self.records.len();
        Ok(self)
    }

    /// Columns of numbers as a tensor of shape `[records, columns]`, `F32`.
    ///
    /// # Errors
    /// If there is no column of a name, or a field is no number: with file, line and column.
    pub fn tensor(&self, columns: &[&str], device: &Device) -> Result<Tensor> {
        let places = columns.iter().map(|name| self.place(name)).collect::<Result<Vec<_>>>()?;
        let mut elements = Vec::with_capacity(self.len() * places.len());
        for (line, record) in &self.records {
            for &i in &places {
                let field = &record[i];
                elements.push(field.parse::<f32>().map_err(|_| {
                    let (file, column) = (self.path.display(), &self.columns[i]);
                    Error::new(Kind::Data, format!("{file}:{line}: column {column}: {field:?} is no number"))
                })?);
            }
        }
        Tensor::from_data(crate::elements::Data::F32(elements), &[self.len(), places.len()], device)
    }

    /// A column as text.
    ///
    /// # Errors
    /// If there is no column of this name.
    pub fn text(&self, column: &str) -> Result<Vec<&str>> {
        let i = self.place(column)?;
        Ok(self.records.iter().map(|(_, record)| record[i].as_str()).collect())
    }

    /// A column of names as numbers, in the order in which they come first, and the names.
    ///
    /// # Errors
    /// If there is no column of this name.
    pub fn categories(&self, column: &str) -> Result<(Vec<i32>, Vec<String>)> {
        let i = self.place(column)?;
        let mut names: Vec<String> = Vec::new();
        let mut numbers = Vec::with_capacity(self.len());
        for (_, record) in &self.records {
            let at = names.iter().position(|name| *name == record[i]).unwrap_or_else(|| {
                names.push(record[i].clone());
                names.len() - 1
            });
            numbers.push(at as i32);
        }
        Ok((numbers, names))
    }

    fn place(&self, column: &str) -> Result<usize> {
        self.columns.iter().position(|name| name == column).ok_or_else(|| {
            let (file, columns) = (self.path.display(), self.columns.join(", "));
            Error::new(Kind::Data, format!("{file}: there is no column {column}; there are {columns}"))
        })
    }
}
