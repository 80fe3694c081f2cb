import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TenonError } from '../src/base/errors.js';
import type { TableDefinition } from '../src/binding/store.js';
import { preferred } from '../src/http/accept.js';
import { readEntityTags, tagValues } from '../src/http/entity-tags.js';
import { type Argument, comparators, type Expression, parseFiql } from '../src/http/fiql.js';
import { listItems, pickMembers } from '../src/http/json-slices.js';
import { queryWithCursor, readListQuery } from '../src/http/rest-query.js';

const task: TableDefinition = {
  database: 'todo',
  name: 'Task',
  primaryKey: 'id',
  fields: [
    { name: 'id', type: { kind: 'ID', required: true } },
    { name: 'title', type: { kind: 'String' } },
    { name: 'state', type: { kind: 'Enum', values: ['open', 'done'] }, indexed: true },
    { name: 'priority', type: { kind: 'Int' } },
    { name: 'weight', type: { kind: 'Float' } },
    { name: 'urgent', type: { kind: 'Boolean' } },
    { name: 'due', type: { kind: 'Date' } },
    { name: 'tags', type: { kind: 'List', item: { kind: 'String' } } },
    { name: 'address', type: { kind: 'Object', members: [{ name: 'floor', type: { kind: 'Int' } }] } },
    { name: 'extra', type: { kind: 'Any' } },
    { name: 'limit', type: { kind: 'Int' } },
  ],
};

function refusal(action: () => unknown): Pick<TenonError, 'code' | 'message' | 'next' | 'details'> {
  try {
    action();
  } catch (error) {
    return error as TenonError;
  }
  throw new Error('nothing was refused');
}

const filterOf = (query: string): unknown => readListQuery(query, task).filter;

describe('an expression', () => {
  const bareText = fc.stringMatching(/^[A-Za-z0-9_.*:+@%äß-]([A-Za-z0-9 _.*:!'-]*[A-Za-z0-9_.*:-])?$/);
  const argument: fc.Arbitrary<Argument> = fc.oneof(
    bareText.map((text) => ({ text, quoted: false })),
    fc.string({ unit: 'grapheme' }).map((text) => ({ text, quoted: true })),
  );
  const field = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_]{0,8}(\.[A-Za-z0-9_-]{1,5})?$/);
  const comparison = fc
    .record({
      field,
      comparator: fc.constantFrom(...comparators),
      values: fc.array(argument, { minLength: 1, maxLength: 4 }),
    })
    .map(({ values, ...rest }) => ({
      ...rest,
      values: rest.comparator === '=in=' || rest.comparator === '=out=' ? values : values.slice(0, 1),
    }));
  const { either } = fc.letrec<{ either: Expression; both: Expression }>((tie) => ({
    either: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      comparison,
      tie('both'),
      fc
        .array(fc.oneof(comparison, tie('both')), { minLength: 2, maxLength: 4 })
        .map((or) => ({ or: or.filter((part) => !('or' in part)) }))
        .filter(({ or }) => or.length > 1),
    ),
    both: fc
      .array(fc.oneof({ depthSize: 'small' }, comparison, tie('either')), { minLength: 2, maxLength: 4 })
      .map((and) => ({ and: and.filter((part) => !('and' in part)) }))
      .filter(({ and }) => and.length > 1),
  }));

  function written({ text, quoted }: Argument, quote: string): string {
    return quoted ? quote + text.replaceAll(/["'\\]/g, (character) => `\\${character}`) + quote : text;
  }

  function print(expression: Expression, quote: string, blank: string): string {
    if ('or' in expression) return expression.or.map((part) => print(part, quote, blank)).join(`${blank},${blank}`);
    if ('and' in expression)
      return expression.and
        .map((part) => ('or' in part ? `(${blank}${print(part, quote, blank)})` : print(part, quote, blank)))
        .join(`${blank};`);
    const values = expression.values.map((value) => written(value, quote));
    const list = expression.comparator === '=in=' || expression.comparator === '=out=';
    return `${expression.field}${expression.comparator}${list ? `(${values.join(`,${blank}`)})` : (values[0] ?? '')}`;
  }

  function depth(expression: Expression): number {
    if ('or' in expression) return 1 + Math.max(...expression.or.map(depth));
    return 'and' in expression ? Math.max(...expression.and.map(depth)) : 0;
  }

  test('that is printed is read as what it was', () => {
    fc.assert(
      fc.property(either, fc.constantFrom('"', "'"), fc.constantFrom('', ' '), (expression, quote, blank) => {
        fc.pre(depth(expression) <= 16);
        expect(parseFiql(print(expression, quote, blank))).toEqual(expression);
      }),
      { numRuns: 500 },
    );
  });

  test('of any text is read or refused with a place in it', () => {
    const pieces = ['a', '==', '=gt=', '=in=', '(', ')', ';', ',', '"', "'", '\\', ' ', '!', '<', '=', '*', '1'];
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(fc.constantFrom(...pieces)).map((parts) => parts.join('')),
        ),
        (text) => {
          try {
            parseFiql(text);
          } catch (error) {
            const { code, details } = error as TenonError;
            expect(code).toBe('QueryInvalid');
            expect(details['position']).toBeGreaterThanOrEqual(0);
            expect(details['position']).toBeLessThanOrEqual(text.length);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test('has short forms of the operators', () => {
    expect(parseFiql('a<1;b<=2;c>3;d>=4')).toEqual(parseFiql('a=lt=1;b=le=2;c=gt=3;d=ge=4'));
  });

  test.each([
    ['', 0, 'the name of a field is missing before the end'],
    ['state', 5, 'an operator is missing behind state'],
    ['state==', 7, "a value is missing behind state== ('' is the empty text)"],
    ['tags=contain=1', 4, 'there is no operator =contain=; did you mean =contains=?'],
    ['(state==a', 9, 'a closing parenthesis is missing'],
    ['state==a)', 8, '")" is one too many'],
    ['state==a=b', 8, 'a value with "=" in it stands in quotes'],
    ['state=="a', 7, 'the quote " is not closed'],
    ['state=in=a', 9, '=in= takes a list in parentheses, as in state=in=(a,b)'],
    ['a==1;', 5, 'the name of a field is missing before the end'],
    [`${'('.repeat(17)}a==1`, 17, 'parentheses are nested deeper than 16'],
    [Array(257).fill('a==1').join(';'), 1280, 'there are more than 256 comparisons'],
  ])('%.20s is refused', (text, position, sentence) => {
    const { message, details } = refusal(() => parseFiql(text));
    expect(details).toEqual({ position });
    expect(message).toContain(`: at ${position}: ${sentence}`);
  });
});

describe('a filter in a query', () => {
  test.each<[string, unknown]>([
    ['state=open', { field: 'state', op: 'eq', value: 'open' }],
    [
      'state=open&priority=2',
      {
        and: [
          { field: 'state', op: 'eq', value: 'open' },
          { field: 'priority', op: 'eq', value: 2 },
        ],
      },
    ],
    ['title=Pa*t', { field: 'title', op: 'eq', value: 'Pa*t' }],
    ['title=Hello,+world%3B%20a==b', { field: 'title', op: 'eq', value: 'Hello, world; a==b' }],
    ['title==Pa*t', { field: 'title', op: 'like', value: 'Pa*t' }],
    ['title!=Pa*t', { not: { field: 'title', op: 'like', value: 'Pa*t' } }],
    ['title==%22Pa*t%22', { field: 'title', op: 'eq', value: 'Pa*t' }],
    ["title==''", { field: 'title', op: 'eq', value: '' }],
    ['title=', { field: 'title', op: 'eq', value: '' }],
    ['priority=gt=2', { field: 'priority', op: 'gt', value: 2 }],
    ['priority>2', { field: 'priority', op: 'gt', value: 2 }],
    ['priority%3E=-2', { field: 'priority', op: 'ge', value: -2 }],
    ['priority!=2', { field: 'priority', op: 'ne', value: 2 }],
    ['weight=le=2.5e1', { field: 'weight', op: 'le', value: 25 }],
    ['urgent==true', { field: 'urgent', op: 'eq', value: true }],
    ['due=lt=2026-01-31', { field: 'due', op: 'lt', value: '2026-01-31' }],
    ['due=lt=1769817600000', { field: 'due', op: 'lt', value: 1_769_817_600_000 }],
    ['tags=contains=a', { field: 'tags', op: 'contains', value: 'a' }],
    ['address.floor==3', { field: 'address.floor', op: 'eq', value: 3 }],
    ['extra.deep.down==3', { field: 'extra.deep.down', op: 'eq', value: 3 }],
    ["extra.deep=='3'", { field: 'extra.deep', op: 'eq', value: '3' }],
    ['priority=null=true', { field: 'priority', op: 'null', value: true }],
    ['priority=in=(1,2)', { field: 'priority', op: 'in', value: [1, 2] }],
    ['state=out=(open,done)', { field: 'state', op: 'nin', value: ['open', 'done'] }],
    ['limit==5', { field: 'limit', op: 'eq', value: 5 }],
    ['limit=gt=5', { field: 'limit', op: 'gt', value: 5 }],
    ['filter=limit==5', { field: 'limit', op: 'eq', value: 5 }],
    [
      'state==open;priority=gt=2,id==ann',
      {
        or: [
          {
            and: [
              { field: 'state', op: 'eq', value: 'open' },
              { field: 'priority', op: 'gt', value: 2 },
            ],
          },
          { field: 'id', op: 'eq', value: 'ann' },
        ],
      },
    ],
  ])('%s', (query, filter) => expect(filterOf(query)).toEqual(filter));

  test.each([
    ['stat==open', 'Task has no field "stat"', 'did you mean state?'],
    ['stat=open', '"stat" is no parameter and no field of Task', 'did you mean state?'],
    ['limt=5', '"limt" is no parameter and no field of Task', 'did you mean limit?'],
    ['state', 'an operator is missing behind state', undefined],
    ['priority==high', 'priority is an Int, and "high" is none', undefined],
    ['priority==9007199254740993', 'priority is an Int, and "9007199254740993" is none', undefined],
    ['priority==null', 'priority is an Int, and "null" is none', 'write priority=null=true'],
    ['weight==1e999', 'weight is a Float, and "1e999" is none', undefined],
    ['urgent==yes', 'urgent takes true or false, not "yes"', undefined],
    ['address.flor==1', 'address.flor: there is no "flor"', 'did you mean floor?'],
    ['title.x==1', 'title.x: x leads into nothing, because what is before it is no object', undefined],
    [
      'state=open;priority=gt=2',
      '"state=open;priority=gt=2" compares with = and goes on behind ;',
      'write state== in an expression, or %3B for the character',
    ],
    ['state=gte=2', 'there is no operator =gte=', undefined],
    [
      'title==%zz',
      'has a percent escape that is cut short or is no UTF-8',
      'escape the bytes of UTF-8, and a percent sign itself as %25',
    ],
    ['__proto__=1', '"__proto__"', undefined],
    ['limit=0', 'limit is a whole number from 1, not "0"', undefined],
    ['limit=1&limit=2', 'limit is given twice', undefined],
    ['offset=-1', 'offset is a whole number from 0, not "-1"', undefined],
    ['count=1', 'count is true or false, not "1"', undefined],
    ['sort=-', 'sort has an empty name', undefined],
    ['sort=titel', 'Task has no field "titel"', 'did you mean title?'],
    ['select=id,,title', 'select has an empty name', undefined],
  ])('%s is refused', (query, sentence, next) => {
    const error = refusal(() => readListQuery(query, task));
    expect(error.code).toBe('QueryInvalid');
    expect(error.message).toContain(sentence);
    if (next !== undefined) expect(error.next).toBe(next);
  });
});

test('the other parameters of a query', () => {
  expect(readListQuery('sort=+title,-priority,%2Bdue&select=title,id,title&limit=5&offset=7&count=true', task)).toEqual(
    {
      filter: undefined,
      order: [{ field: 'title' }, { field: 'priority', descending: true }, { field: 'due' }],
      fields: ['title', 'id'],
      limit: 5,
      offset: 7,
      after: undefined,
      backwards: false,
      count: true,
    },
  );
  expect(readListQuery('cursor=babc', task)).toMatchObject({ after: 'abc', backwards: true });
  expect(refusal(() => readListQuery('cursor=zabc', task)).code).toBe('CursorInvalid');
});

test('a link keeps the query but for the place, and is fit for a header', () => {
  expect(queryWithCursor('title=="a>b"&cursor=fx&offset=3&limit==5&limit=2&state=\u00e4', 'fy')).toBe(
    'title==%22a%3Eb%22&limit==5&limit=2&state=%C3%A4&cursor=fy',
  );
});

test.each<[string | undefined, readonly string[], string | undefined]>([
  [undefined, ['a/x', 'a/y'], 'a/x'],
  ['*/*', ['a/x', 'a/y'], 'a/x'],
  ['a/y', ['a/x', 'a/y'], 'a/y'],
  ['A/Y;q=0.5, a/x;q=0.4', ['a/x', 'a/y'], 'a/y'],
  ['text/html, */*;q=0.1', ['a/x', 'a/y'], 'a/x'],
  ['a/*;q=0.3, a/x;q=0', ['a/x', 'a/y'], 'a/y'],
  ['text/html', ['a/x'], undefined],
  ['a/x;q=0', ['a/x'], undefined],
  ['a/x;q=much', ['a/x'], undefined],
])('Accept: %s of %s is %s', (accept, offered, type) => expect(preferred(accept, offered)).toBe(type));

test('entity tags', () => {
  expect(readEntityTags('If-Match', ' * ')).toBe('*');
  expect(readEntityTags('If-Match', '"a", W/"b,c" ,,"d"')).toEqual([
    { value: 'a', weak: false },
    { value: 'b,c', weak: true },
    { value: 'd', weak: false },
  ]);
  expect(tagValues(readEntityTags('If-Match', '"a",W/"b"'), true)).toEqual(['a']);
  expect(tagValues(readEntityTags('If-None-Match', '"a",W/"b"'), false)).toEqual(['a', 'b']);
  for (const wrong of ['a', '"a', 'w/"a"', '"a" "b"', '*, "a"'])
    expect(refusal(() => readEntityTags('If-Match', wrong)).code).toBe('BadRequest');
});

describe('JSON cut into slices', () => {
  const blank = fc.stringMatching(/^[ \t\r\n]{0,2}$/);

  test('has the items that parsing gives', () => {
    fc.assert(
      fc.property(fc.array(fc.json()), blank, (items, space) => {
        const text = Buffer.from(`${space}[${items.map((item) => space + item + space).join(',')}]${space}`);
        expect(listItems(text, 1000).map((item) => item.toString())).toEqual(items.map((item) => item.trim()));
      }),
    );
  });

  test('that is wrong gives a slice that is wrong', () => {
    for (const wrong of ['[1,]', '[,1]', '[1,,2]', '["a]', '[{"a":1]]', '[[1]', '[1 2]', '[}{]']) {
      const items = listItems(Buffer.from(wrong), 10);
      expect(() => items.map((item) => JSON.parse(item.toString()) as unknown)).toThrow(SyntaxError);
    }
    expect(refusal(() => listItems(Buffer.from('[1'), 10)).code).toBe('BadRequest');
    expect(refusal(() => listItems(Buffer.from('['), 10)).code).toBe('BadRequest');
  });

  test('has the members that were picked, in their order', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.array(fc.string()), (object, others) => {
        const names = [...new Set([...Object.keys(object).reverse(), ...others])];
        const picked = JSON.parse(pickMembers(Buffer.from(JSON.stringify(object)), names).toString()) as object;
        expect(picked).toEqual(JSON.parse(JSON.stringify(object)));
        expect(pickMembers(Buffer.from('{"b":1,"a":{"b":2},"c":",\\""}'), ['c', 'a']).toString()).toBe(
          '{"c":",\\"","a":{"b":2}}',
        );
      }),
    );
  });
});
