// Numbers and moments as the reader's own language writes them.
const wholeNumbers = new Intl.NumberFormat(undefined);
const numbers = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4 });
const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function numberText(value) {
  return (Number.isInteger(value) ? wholeNumbers : numbers).format(value);
}

function localise(root) {
  for (const item of root.querySelectorAll("data.number")) {
    item.textContent = numberText(Number(item.value));
  }
  for (const item of root.querySelectorAll("time.moment")) {
    const moment = new Date(item.dateTime);
    if (!Number.isNaN(moment.getTime())) item.textContent = moments.format(moment);
  }
}

function make(tag, properties = {}, ...children) {
  const item = Object.assign(document.createElement(tag), properties);
  item.append(...children);
  return item;
}

function byId(id) {
  return document.getElementById(id);
}
