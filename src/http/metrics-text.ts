/** Families of metrics as text: the format of Prometheus (0.0.4) and that of OpenMetrics (1.0). */

export type Labels = Readonly<Record<string, string>>;

/** One line; `suffix` is that of a histogram: `_bucket`, `_sum` or `_count`. */
export interface Sample {
  readonly suffix?: string;
  readonly labels?: Labels;
  readonly value: number;
}

/** Lines that belong together. The name of a counter ends with `_total`. */
export interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly samples: readonly Sample[];
}

const units = ['seconds', 'bytes', 'ratio'];

/** What a family is, before its lines. */
export function headOf({ name, type, help }: Omit<Family, 'samples'>, openMetrics: boolean): string {
  if (!openMetrics) return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
  const family = type === 'counter' ? name.replace(/_total$/, '') : name;
  const unit = units.find((one) => family.endsWith(`_${one}`));
  const head = `# HELP ${family} ${escapeLabel(help)}\n# TYPE ${family} ${type}\n`;
  return unit === undefined ? head : `${head}# UNIT ${family} ${unit}\n`;
}

/** All of a family; nothing for one without lines. */
export function textOf(family: Family, openMetrics: boolean): string {
  if (family.samples.length === 0) return '';
  let text = headOf(family, openMetrics);
  for (const { suffix = '', labels = {}, value } of family.samples)
    text += `${family.name}${suffix}${braced(labels, openMetrics)} ${numberOf(value)}\n`;
  return text;
}

/** Labels as they stand between the braces. */
export function labelsOf(labels: Labels): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}="${escapeLabel(value)}"`)
    .join(',');
}

export function numberOf(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : '-Inf';
}

/** The upper bound of a bucket: OpenMetrics writes whole ones with a fraction. */
export function boundOf(bound: number, openMetrics: boolean): string {
  return openMetrics && Number.isInteger(bound) ? `${bound}.0` : numberOf(bound);
}

function braced(labels: Labels, openMetrics: boolean): string {
  const { le } = labels;
  const bound = le === undefined || le === '+Inf' ? {} : { le: boundOf(Number(le), openMetrics) };
  const inside = labelsOf({ ...labels, ...bound });
  return inside === '' ? '' : `{${inside}}`;
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}

export function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, type: 'gauge', help, samples };
}

/** @param name ends in `_total` */
export function counter(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, type: 'counter', help, samples };
}
