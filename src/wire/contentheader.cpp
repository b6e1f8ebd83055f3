// SPDX-License-Identifier: MIT
#include "wire/contentheader_p.h"

namespace AmqpQt::Wire {

namespace {

// Bit 0 announces a second word of flags, which a class with 14 properties does not have; bit 1 belongs to no property.
constexpr quint16 UnknownFlags = 0x0003;

const char *readProperties(Reader &reader, BasicProperties &values) noexcept
{
    values = {};
    values.flags = reader.number<quint16>();
    if (values.flags & UnknownFlags)
        return "unknown property flags";
    FieldReader fields(reader);
    BasicProperties::fields(values, fields);
    return reader.error();
}

} // namespace

const char *decodeContentHeader(QByteArrayView payload, ContentHeader &header) noexcept
{
    Reader reader(payload);
    header.classId = reader.number<quint16>();
    reader.number<quint16>(); // weight: unused, must be zero
    header.bodySize = reader.number<quint64>();
    const char *properties = reader.position();
    BasicProperties checked;
    const char *error = readProperties(reader, checked);
    // Without padding, which is tolerated but must not be forwarded.
    header.properties = error ? QByteArrayView() : QByteArrayView(properties, reader.position());
    return error;
}

const char *decodeProperties(QByteArrayView properties, BasicProperties &values) noexcept
{
    Reader reader(properties);
    return readProperties(reader, values);
}

QByteArray encodeProperties(const BasicProperties &values)
{
    Q_ASSERT(!(values.flags & UnknownFlags));
    FieldSizer sizer;
    BasicProperties::fields(values, sizer);
    QByteArray properties(qsizetype(sizeof values.flags) + sizer.size(), Qt::Uninitialized);
    qToBigEndian(values.flags, properties.data());
    FieldWriter writer(properties.data() + sizeof values.flags);
    BasicProperties::fields(values, writer);
    return properties;
}

char *writeContentHeaderPrefix(char *at, quint16 classId, quint64 bodySize) noexcept
{
    qToBigEndian(classId, at);
    qToBigEndian(quint16(0), at + 2); // weight
    qToBigEndian(bodySize, at + 4);
    return at + ContentHeaderPrefix;
}

} // namespace AmqpQt::Wire
