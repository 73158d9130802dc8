# Programs: what recordings become, ready to run. fastnn/program/ makes them.

from libc.stdlib cimport free, malloc

import os
import threading
import weakref

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1

DEF PAUSE = 0.05           # seconds between two looks at signals
DEF MAX_EXTERNALS = 256

MISS = object()            # a program is for other arguments
STALE = object()           # something it has captured may have been bound anew

cdef int64_t changes = 0
cdef object get_ident = threading.get_ident
programs = weakref.WeakSet()   # all there are
loaded = weakref.WeakSet()


def note_change():
    """Tell that an attribute of a module was bound anew, or a parameter was moved."""
    global changes
    changes += 1


def get_changes():
    """How often `note_change` was called."""
    return changes


def get_ops():
    """All ops: (name, [(operand, offset, role, offset of a flag), ...]), by number.

    Roles: 0 read, 1 read and may be what is written, 2 written, 3 both; 4: 3 if the flag is set,
    else 2; 5: 3 if the flag is set, else 0.
    """
    cdef const fnn_operand *first
    cdef int op, count, i
    table = []
    for op in range(fnn_op_count()):
        count = fnn_op_operands(op, &first)
        table.append((text(fnn_op_name(op)), [
            (text(first[i].name), first[i].offset, <int>first[i].role, first[i].flag)
            for i in range(count)]))
    return table


def get_fields():
    """Where what passes look at stands in the args: {op: {field: (offset, struct format)}}."""
    cdef fnn_activation_args *a = NULL
    cdef fnn_conv2d_forward_args *c = NULL
    cdef fnn_gemm_args *g = NULL
    cdef fnn_max_pool2d_forward_args *p = NULL
    cdef fnn_batch_norm_forward_args *b = NULL
    activation = {"activation": (<size_t>&a.activation, "i"), "size": (<size_t>&a.size, "q")}
    return {
        "activation_forward": activation,
        "activation_backward": activation,
        "conv2d_forward": {"activation": (<size_t>&c.activation, "i")},
        "gemm": {"activation": (<size_t>&g.activation, "i"), "M": (<size_t>&g.M, "q"),
                 "N": (<size_t>&g.N, "q"), "out_rs": (<size_t>&g.out_rs, "q"),
                 "out_cs": (<size_t>&g.out_cs, "q"), "b_packed": (<size_t>&g.b_packed, "?")},
        "max_pool2d_forward": {"relu": (<size_t>&p.relu, "?")},
        "batch_norm_forward": {"relu": (<size_t>&b.relu, "?")},
    }


def get_address(array):
    """Where an array, or the memory of a Symbol, begins."""
    return plain(array).__array_interface__["data"][0]


def get_bytes(address, nbytes):
    """A copy of memory that the caller holds."""
    return PyBytes_FromStringAndSize(<const char *><size_t>address, nbytes)


def get_algorithm(name, dtype, bytes args):
    """How a recorded convolution is computed; None for other ops."""
    cdef fnn_conv2d_choice_args choice
    cdef fnn_conv_algorithm chosen
    passes = {"conv2d_forward": FNN_CONV_FORWARD,
              "conv2d_backward_input": FNN_CONV_BACKWARD_INPUT,
              "conv2d_backward_weight": FNN_CONV_BACKWARD_WEIGHT}
    if name not in passes:
        return None
    choice.shape = (<const fnn_conv2d_shape *><const char *>args)[0]   # first in all three
    choice.conv_pass = passes[name]
    choice.chosen = &chosen
    fnn_conv2d_choice(dtype, &choice)
    return algorithm_names[<int>chosen]


cdef struct Relocation:
    char **where        # the pointer in the args
    int external        # which array it points into
    Py_ssize_t offset


cdef class Program:
    """Ops that run as one call.

    Parameters
    ----------
    steps : list of (int, int, bytes, list, tuple)
        Op, dtype, args, pointers, and the earlier steps that must have ended. A pointer is (offset
        in the args, where, address): where is -2 for an absolute address, -1 for one in the arena,
        else the number of an external array.
    arena : int
        Bytes.
    inputs : list of (dtype, shape, position, converted, written)
        The first external arrays: which argument each is, whether it becomes int64, and whether the
        program writes into it.
    statics : list of (position, object)
        Arguments that must be equal.
    outputs : list of (dtype, shape)
        The other external arrays, made anew for every call.
    result : tuple
        What is returned: ("number", where, address), ("array", external), ("view", external,
        dtype, shape, offset, strides), ("constant", object), ("tuple" or "list", [...]) or ("dict",
        keys, [...]).
    checks : list of (int, int, int, int, int or None, str, str)
        Labels and indices: where, address, their number, how many values are valid, the ignored
        one, and for the message their name and what they are.
    flags : list of (Parameter, (bool, bool), (bool, bool))
        Whether its gradient is fresh and written, before and after.
    keep : object
        What must live as long.
    """

    cdef fnn_program *program
    cdef int64_t count
    cdef object arena_memory
    cdef char *arena
    cdef readonly list inputs, statics, outputs
    cdef object result, keep
    cdef list checks, flags, changed_flags
    cdef list written               # numbers of the inputs that are
    cdef readonly int64_t arena_bytes
    cdef public int64_t changes     # `get_changes` when what it captured was last looked at
    cdef Relocation *relocations
    cdef int relocation_count
    cdef object lock
    cdef object owner               # ident of the thread that runs it
    cdef object seconds             # float64 array where time is taken
    cdef readonly int64_t calls     # since then
    cdef object __weakref__

    def __init__(self, list steps, arena, inputs, statics, outputs, result, checks, flags, keep):
        cdef Array view
        self.arena_bytes = arena
        self.arena_memory = np_empty(arena + 128, np_uint8)
        self.arena = <char *>((<size_t>bytes_of(self.arena_memory) + 63) & ~<size_t>63)
        self.inputs, self.statics, self.outputs = inputs, statics, outputs
        self.result, self.checks, self.keep = result, checks, keep
        self.flags = [(p, before) for p, before, after in flags]
        self.changed_flags = [(p, after) for p, before, after in flags if before != after]
        self.changes = changes
        self.written = [i for i, (_, _, _, _, written) in enumerate(inputs) if written]
        self.lock = threading.Lock()
        if len(inputs) + len(outputs) > MAX_EXTERNALS:
            raise ValueError(f"compile: at most {MAX_EXTERNALS} arrays in and out")
        self.assemble(steps)
        programs.add(self)

    cdef int assemble(self, list steps) except -1:
        """Copy the steps, and point into the arena and at what was captured."""
        cdef Py_ssize_t count = len(steps), i, j, offset
        cdef Py_ssize_t total = sum([len(step[4]) for step in steps])
        cdef Py_ssize_t moved = sum([where >= 0 for step in steps for _, where, _ in step[3]])
        cdef fnn_step *raw = <fnn_step *>malloc((count + 1) * sizeof(fnn_step))
        cdef int64_t *after = <int64_t *>malloc((total + 1) * sizeof(int64_t))
        cdef int64_t *to = after
        self.relocations = <Relocation *>malloc((moved + 1) * sizeof(Relocation))
        try:
            if raw == NULL or after == NULL or self.relocations == NULL:
                raise MemoryError("compile: no memory for the program")
            for i in range(count):
                op, dtype, args, pointers, waits = steps[i]
                raw[i] = fnn_step(op, dtype, <const char *>args, to, len(waits))
                for j in range(len(waits)):
                    to[0] = waits[j]
                    to += 1
            self.program = fnn_program_create(raw, count)
        finally:
            free(raw)
            free(after)
        if self.program == NULL:
            raise MemoryError("compile: no memory for the program")
        self.count = count
        for i in range(count):
            for offset, where, address in steps[i][3]:
                self.point(<char **>(<char *>fnn_program_args(self.program, i) + offset), where,
                           address)
        return 0

    cdef int point(self, char **pointer, int where, address) except -1:
        if where == -2:
            pointer[0] = <char *><size_t>address
        elif where == -1:
            pointer[0] = self.arena + <Py_ssize_t>address
        else:
            self.relocations[self.relocation_count] = Relocation(pointer, where, address)
            self.relocation_count += 1
        return 0

    def __dealloc__(self):
        fnn_program_destroy(self.program)
        free(self.relocations)

    def run(self, tuple args):
        """Run it on the arguments; MISS or STALE if it is not for them."""
        cdef char *externals[MAX_EXTERNALS]
        cdef Py_ssize_t i
        if is_recording() or not self.matches(args):   # noted as part of another, not run
            return MISS
        if self.changes != changes:
            return STALE
        for p, before in self.flags:
            if p._fresh is not before[0]:
                return MISS
        cdef list arrays = []
        for i in range(len(self.inputs)):
            externals[i] = self.load_input(i, args, arrays)
        if self.written:
            self.check_arguments(arrays)
        for check in self.checks:
            self.check_labels(check, externals, arrays)
        for dtype, shape in self.outputs:
            array = np_empty(shape, dtype)
            externals[len(arrays)] = data_of(array)
            arrays.append(array)
        self.acquire()
        try:
            for i in range(self.relocation_count):
                self.relocations[i].where[0] = (externals[self.relocations[i].external]
                                                + self.relocations[i].offset)
            self.replay()
            self.calls += 1
            return self.build(self.result, arrays, args)
        finally:
            self.owner = None
            self.lock.release()

    cdef bint matches(self, tuple args) except -1:
        cdef fnn_ndarray *fields
        cdef tuple shape
        cdef Py_ssize_t i
        cdef int d
        if len(args) != len(self.inputs) + len(self.statics):
            return False
        for i in range(len(self.inputs)):
            dtype, shape, position, _, _ = self.inputs[i]
            array = args[position]
            if type(array) is not np_ndarray:
                return False
            if not fields_are_known:
                if array.dtype != dtype or array.shape != shape:
                    return False
                continue
            fields = <fnn_ndarray *><PyObject *>array
            if fields.nd != len(shape):
                return False
            if fields.descr != <PyObject *>dtype and array.dtype != dtype:
                return False
            for d in range(fields.nd):
                if fields.dimensions[d] != <Py_ssize_t>shape[d]:
                    return False
        for position, value in self.statics:
            if args[position] is not value and not same_static(args[position], value):
                return False
        return True

    cdef char *load_input(self, Py_ssize_t i, tuple args, list arrays) except? NULL:
        """The data of an input: the argument's own where it is contiguous."""
        cdef fnn_ndarray *fields
        _, _, position, converted, written = self.inputs[i]
        array = args[position]
        if written and not (array.flags.writeable and array.flags.carray):
            raise ValueError("compile: an argument that is written into must be writable, "
                             "contiguous and aligned")
        fields = <fnn_ndarray *><PyObject *>array
        if (converted or not fields_are_known or not fields.flags & FNN_NDARRAY_CONTIGUOUS
                or not fields.flags & FNN_NDARRAY_ALIGNED):
            array = np.require(array, np_int64 if converted else None, "CA")
        arrays.append(array)
        return data_of(array)

    cdef int check_arguments(self, list arrays) except -1:
        """What is written into must be no other argument: they were told apart by recording."""
        for i in self.written:
            for j in range(len(arrays)):
                if i != j and np.may_share_memory(arrays[i], arrays[j]):
                    raise ValueError("compile: an argument that is written into must not overlap "
                                     "another argument")
        return 0

    cdef int check_labels(self, tuple check, char **externals, list arrays) except -1:
        cdef const int64_t *labels
        cdef int64_t bad
        where, address, N, C, ignored, name, what = check
        if where == -2:
            labels = <const int64_t *><size_t>address
        else:
            labels = <const int64_t *>(externals[where] + <Py_ssize_t>address)
        bad = find_wrong_label(labels, N, C, ignored is not None, 0 if ignored is None else ignored)
        if bad >= 0:
            raise ValueError(f"{name}[{bad}] is {labels[bad]}, not {what} from 0 to {C - 1}")
        return 0

    cdef int acquire(self) except -1:
        """Have the program for this thread alone."""
        if not self.lock.acquire(False):
            if self.owner == get_ident():   # a signal handler called it
                raise RuntimeError("a compiled function cannot be called while it runs")
            self.lock.acquire()
        self.owner = get_ident()
        return 0

    cdef int replay(self) except -1:
        cdef int64_t next = 0
        cdef fnn_status status
        while next < self.count:
            with nogil:
                status = fnn_program_run(self.program, &next, PAUSE)
            if status == FNN_NOT_FINITE:
                raise FloatingPointError("a loss is infinite or NaN")
            if status != FNN_OK:
                raise MemoryError("compile: no memory for the workspace")
            if next < self.count:
                PyErr_CheckSignals()
        for p, after in self.changed_flags:
            p._fresh, p._written = after
        return 0

    cdef object build(self, tuple part, list arrays, tuple args):
        kind = part[0]
        if kind == "number":
            return (<double *>self.locate(part[1], part[2]))[0]
        if kind == "array":
            return arrays[part[1]]
        if kind == "empty":
            return np_empty(part[1], part[2])
        if kind == "argument":
            return args[part[1]]
        if kind == "view":
            base = arrays[part[1]]
            return np_ndarray(part[3], part[2], base.reshape(-1).view(np_uint8), part[4], part[5])
        if kind == "tuple":
            return tuple([self.build(item, arrays, args) for item in part[1]])
        if kind == "list":
            return [self.build(item, arrays, args) for item in part[1]]
        if kind == "dict":
            return dict(zip(part[1], [self.build(item, arrays, args) for item in part[2]]))
        return part[1]

    cdef char *locate(self, int where, address) except NULL:
        return <char *><size_t>address if where == -2 else self.arena + <Py_ssize_t>address

    def profile(self, bint on):
        """Take the time of every step from now on, or no longer."""
        with self.lock:
            self.seconds = np.zeros(max(self.count, 1)) if on else None
            self.calls = 0
            fnn_program_profile(self.program, <double *>bytes_of(self.seconds) if on else NULL)

    def get_seconds(self):
        """Seconds of every step, of all calls since `profile`; None without."""
        return None if self.seconds is None else self.seconds[:self.count].copy()

    def poison(self, int value):
        """Overwrite the arena."""
        with self.lock:
            self.arena_memory.fill(value)


cdef char *data_of(object array) except? NULL:
    """Where the data of a contiguous array lie."""
    if fields_are_known:
        return (<fnn_ndarray *><PyObject *>array).data
    return <char *>bytes_of(array)


cdef bint same_static(a, b) except -1:
    """Whether an argument that is no array is the one that was recorded."""
    if type(a) is not type(b) or isinstance(a, np_ndarray):
        return False
    if isinstance(a, (float, complex, np.inexact)):   # -0.0 is another than 0.0, NaN is itself
        return repr(a) == repr(b)
    return a == b


def renew_locks():
    """In a forked child: the threads that held them are not there."""
    cdef Program program
    for program in list(programs):
        program.lock = threading.Lock()
        program.owner = None


os.register_at_fork(after_in_child=renew_locks)


# ---- saved programs ------------------------------------------------------------------------------


cdef class Model:
    """A program from a file; `fastnn.program.load` returns it."""

    cdef fnn_model *model
    cdef readonly list inputs, outputs
    cdef object lock
    cdef object __weakref__

    def __init__(self, path):
        cdef char message[512]
        cdef int i
        message[0] = 0
        name = os.fsencode(path)
        self.model = fnn_model_load(name, message, sizeof(message))
        if self.model == NULL:
            raise ValueError(text(message))
        self.lock = threading.Lock()
        loaded.add(self)
        self.inputs = [described(fnn_model_input(self.model, i))
                       for i in range(fnn_model_inputs(self.model))]
        self.outputs = [described(fnn_model_output(self.model, i))
                        for i in range(fnn_model_outputs(self.model))]

    def __dealloc__(self):
        fnn_model_free(self.model)

    def run(self, tuple arrays):
        """Return the list of results."""
        cdef const void *inputs[MAX_EXTERNALS]
        cdef void *outputs[MAX_EXTERNALS]
        cdef fnn_status status
        cdef Py_ssize_t i
        if len(arrays) != len(self.inputs):
            raise TypeError(f"program: expected {len(self.inputs)} arrays, got {len(arrays)}")
        held = []
        for i in range(len(arrays)):
            dtype, shape = self.inputs[i]
            require_array(arrays[i], b"program", b"an argument")
            if arrays[i].dtype != dtype:
                raise TypeError(f"program: argument {i} must be {dtype}, not {arrays[i].dtype}")
            if arrays[i].shape != shape:
                raise ValueError(f"program: argument {i} must have shape {shape}, "
                                 f"not {arrays[i].shape}")
            held.append(np.require(arrays[i], requirements="CA"))
            inputs[i] = data_of(held[i])
        results = [np_empty(shape, dtype) for dtype, shape in self.outputs]
        for i in range(len(results)):
            outputs[i] = data_of(results[i])
        with self.lock:
            with nogil:
                status = fnn_model_run(self.model, inputs, outputs)
        check(b"program", status)
        return results


cdef object described(const fnn_array_type *t):
    dtypes = (np_float32, np_float64, np_int64, np_uint8)
    return dtypes[<int>t.type], tuple([t.shape[d] for d in range(t.dims)])


def renew_model_locks():
    """As `renew_locks`."""
    cdef Model model
    for model in list(loaded):
        model.lock = threading.Lock()


os.register_at_fork(after_in_child=renew_model_locks)
