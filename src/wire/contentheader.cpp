// SPDX-License-Identifier: MIT
#include "wire/contentheader_p.h"

#include "wire/fieldtable_p.h"

namespace AmqpQt::Wire
{

namespace
{

// Bit 0 announces a second word of flags, which a class with 14 properties does not have; bit 1 belongs to no property.
// RabbitMQ ignores both and delivers them.
constexpr quint16 UnknownFlags = 0x0003;

// Reads the properties of a message without checking its headers.
class PropertyReader
{
public:
    explicit PropertyReader(Reader &reader) noexcept
        : m_reader(reader)
        , m_fields(reader)
    {
    }

    template <typename Value>
    void operator()(const char *name, Value &value) noexcept
    {
        if constexpr (std::is_same_v<Value, Table>)
            value.contents = m_reader.longString();
        else
            m_fields(name, value);
        m_read += !m_reader.failed();
    }
    int read() const noexcept { return m_read; }

private:
    Reader &m_reader;
    FieldReader m_fields;
    int m_read = 0;
};

const char *readProperties(Reader &reader, BasicProperties &values) noexcept
{
    values = {};
    values.flags = quint16(reader.number<quint16>() & ~UnknownFlags);
    PropertyReader properties(reader);
    BasicProperties::fields(values, properties);
    if (!reader.failed())
        return nullptr;
    // The flags of the properties before the error, which are the highest ones.
    int left = properties.read();
    for (quint16 flag = ContentTypeFlag; flag; flag = quint16(flag >> 1)) {
        if (values.flags & flag && left-- <= 0)
            values.flags = quint16(values.flags & ~flag);
    }
    return reader.error();
}

} // namespace

bool decodeContentHeader(QByteArrayView payload, ContentHeader &header) noexcept
{
    Reader reader(payload);
    header.classId = reader.number<quint16>();
    reader.number<quint16>(); // weight: unused, must be zero
    header.bodySize = reader.number<quint64>();
    const char *properties = reader.position();
    if (reader.remaining() < qsizetype(sizeof BasicProperties::flags))
        return false;
    BasicProperties read;
    header.undecodable = readProperties(reader, read);
    // Drops padding, which is tolerated but must not be forwarded.
    header.properties = QByteArrayView(properties, reader.position());
    if (!header.undecodable)
        header.undecodable = checkTable(read.headers.contents);
    return true;
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
