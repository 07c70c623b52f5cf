/** Attributes that lead from a value of a template to the interpreter's insides without two underscores. */
const INSIDES =
  /^(?:(?:gi|cr|ag)_(?:frame|code|await|yieldfrom|running|suspended|origin)|f_(?:globals|locals|back|builtins|code|trace.*|lasti|lineno)|tb_(?:frame|next|lasti|lineno)|co_[a-z]+|func_(?:globals|code|closure|defaults|dict)|im_(?:func|self|class)|mro|subclasses)$/;

/** Whether a member of this name is one of the interpreter's rather than of a chat's. */
export function isInside(name: string): boolean {
  return name.startsWith('_') || name.includes('__') || INSIDES.test(name);
}

const words = (list: string): ReadonlySet<string> => new Set(list.split(' '));

/** Objects of Jinja and of the web frameworks around it, from whose globals everything can be reached. */
export const GATEWAYS = words('lipsum cycler joiner self request config url_for get_flashed_messages');
/** What a chat template may call by its name, beside its own macros. */
export const FUNCTIONS = words('raise_exception strftime_now range namespace dict caller');
/** Names that have a meaning of their own, and may not be given another. */
export const FIXED = words(
  'raise_exception strftime_now range namespace dict caller loop self super varargs kwargs lipsum cycler joiner',
);
/** What callers give to every template: no tokenizer's file can say what is in there. */
export const ROOTS = words('messages tools documents');
/** Methods of text, lists and mappings. */
export const METHODS = words(
  'append capitalize casefold copy count endswith extend find format get index insert isalnum isalpha isascii isdecimal ' +
    'isdigit islower isnumeric isspace istitle isupper items join keys ljust lower lstrip partition pop remove ' +
    'removeprefix removesuffix replace reverse rfind rindex rjust rpartition rsplit rstrip setdefault sort split ' +
    'splitlines startswith strip swapcase title update upper values zfill',
);
export const COUNTING_METHODS = words(
  'count endswith find index isalnum isalpha isascii isdecimal isdigit islower isnumeric isspace istitle isupper rfind ' +
    'rindex startswith',
);
/** Methods that answer what is in the value they are called on. */
export const PICKING_METHODS = words('copy get items keys pop setdefault values');
export const CHANGING_METHODS = words('append extend insert setdefault update');
export const TRIMMING_METHODS = words('lower lstrip rstrip strip upper');

export const COUNTING_FILTERS = words('abs count float int length round wordcount filesizeformat');
/** Filters whose result has the elements of what is filtered. */
export const LISTING_FILTERS = words('list sort dictsort');
export const PICKING_FILTERS = words('first last max min random');
/** Filters whose result is a generator, an object with insides of its own. */
export const GENERATING_FILTERS = words('batch items reject rejectattr select selectattr slice unique');
export const TRIMMING_FILTERS = words('lower string trim upper');
/** Filters whose result is a text, or anything else that is made at run time. */
export const MAKING_FILTERS = words(
  'capitalize center e escape forceescape format from_json fromjson groupby indent join map pprint replace reverse safe ' +
    'striptags sum title tojson to_json truncate urlencode urlize wordwrap xmlattr',
);
/** At which place among its arguments a filter takes the name of an attribute. */
export const ATTRIBUTE_PLACE: Readonly<Record<string, number>> = {
  ...{ groupby: 0, rejectattr: 0, selectattr: 0, sum: 0 },
  ...{ join: 1, max: 1, min: 1, unique: 1, sort: 2 },
};
/** What `map` may apply: filters that read no attribute. */
export const MAPPED_FILTERS = words(
  'abs capitalize count default e escape first float format indent int last length list lower replace round safe string ' +
    'striptags title tojson trim upper',
);
export const TESTS = words(
  'boolean callable defined divisibleby eq equalto escaped even false filter float ge greaterthan gt in integer iterable ' +
    'le lessthan lower lt mapping ne none number odd sameas sequence string test true undefined upper == != > >= < <=',
);
